/** Generates the text of src/report/page/page.generated.ts from page.css and page.js. */
export declare function generateReportPage(): string;
