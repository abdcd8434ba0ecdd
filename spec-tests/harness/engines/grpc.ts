import { once } from "node:events";
import { connect, constants } from "node:http2";
import { createConnection, type NetConnectOpts } from "node:net";

const HEADER_BYTES = 5;

/** One unary call over a socket: HTTP/2, in it a length before each message, the status in the trailers. */
export async function grpcCall(
  address: NetConnectOpts,
  method: string,
  request: Buffer,
  timeoutMs: number,
): Promise<Buffer> {
  const session = connect("http://localhost", { createConnection: () => createConnection(address) });
  // The stream reports the same error. Only one that comes after the answer is dropped here.
  session.on("error", () => undefined);
  try {
    const stream = session.request({
      [constants.HTTP2_HEADER_METHOD]: "POST",
      [constants.HTTP2_HEADER_PATH]: method,
      "content-type": "application/grpc",
      te: "trailers",
    });
    stream.setTimeout(timeoutMs, () => stream.destroy(new Error(`${method}: no answer in ${timeoutMs} ms`)));
    let status: { code: number; message: string } | undefined;
    const read = (headers: Record<string, unknown>): void => {
      if (headers["grpc-status"] === undefined) return;
      const message = decodeURIComponent(String(headers["grpc-message"] ?? ""));
      status = { code: Number(headers["grpc-status"]), message };
    };
    stream.on("response", read).on("trailers", read);
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt32BE(request.length, 1);
    stream.end(Buffer.concat([header, request]));
    await once(stream, "close");
    if (status === undefined) throw new Error(`${method}: no status`);
    if (status.code !== 0) throw new Error(`${method}: status ${status.code}: ${status.message}`);
    return Buffer.concat(chunks).subarray(HEADER_BYTES);
  } finally {
    session.destroy();
  }
}
