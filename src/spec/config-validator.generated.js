// Generated from config-schema.json by `node scripts/generate-config-validator.mjs`. Do not edit.
"use strict";
export const validateConfig = validate21;
const pattern0 = new RegExp("^(?:0|[1-9]\\d*)\\.(?:0|[1-9]\\d*)\\.(?:0|[1-9]\\d*)(?:-[0-9A-Za-z-]+(?:\\.[0-9A-Za-z-]+)*)?(?:\\+[0-9A-Za-z-]+(?:\\.[0-9A-Za-z-]+)*)?$", "");
const pattern1 = new RegExp("^[^]", "");

function validate22(data, instancePath = ""){
let vErrors = null;
if(data && typeof data == "object" && !Array.isArray(data)){
if(data.path === undefined){
vErrors = fail(vErrors, instancePath, "required", {missingProperty: "path"});
}
if(data.path !== undefined){
let data0 = data.path;
if(typeof data0 === "string"){
if(!pattern1.test(data0)){
vErrors = fail(vErrors, instancePath+"/path", "pattern", {pattern: "^[^]"});
}
}
else {
vErrors = fail(vErrors, instancePath+"/path", "type", {type: "string"});
}
}
if(data.readonly !== undefined){
if(typeof data.readonly !== "boolean"){
vErrors = fail(vErrors, instancePath+"/readonly", "type", {type: "boolean"});
}
}
}
else {
vErrors = fail(vErrors, instancePath, "type", {type: "object"});
}
validate22.errors = vErrors;
return vErrors === null;
}

const pattern2 = new RegExp("^/", "");
const pattern4 = new RegExp("^[0-9, -]*$", "");
const pattern3 = new RegExp("^[^=]+=", "");

function validate25(data, instancePath = ""){
let vErrors = null;
if(Array.isArray(data)){
const len0 = data.length;
for(let i0=0; i0<len0; i0++){
let data0 = data[i0];
if(typeof data0 === "string"){
if(!pattern3.test(data0)){
vErrors = fail(vErrors, instancePath+"/" + i0, "pattern", {pattern: "^[^=]+="});
}
}
else {
vErrors = fail(vErrors, instancePath+"/" + i0, "type", {type: "string"});
}
}
}
else {
vErrors = fail(vErrors, instancePath, "type", {type: "array"});
}
validate25.errors = vErrors;
return vErrors === null;
}


function validate27(data, instancePath = ""){
let vErrors = null;
if(Array.isArray(data)){
const len0 = data.length;
for(let i0=0; i0<len0; i0++){
if(typeof data[i0] !== "string"){
vErrors = fail(vErrors, instancePath+"/" + i0, "type", {type: "string"});
}
}
}
else {
vErrors = fail(vErrors, instancePath, "type", {type: "array"});
}
validate27.errors = vErrors;
return vErrors === null;
}


function validate24(data, instancePath = ""){
let vErrors = null;
if(data && typeof data == "object" && !Array.isArray(data)){
if(data.cwd === undefined){
vErrors = fail(vErrors, instancePath, "required", {missingProperty: "cwd"});
}
if(data.args === undefined){
vErrors = fail(vErrors, instancePath, "required", {missingProperty: "args"});
}
if(data.terminal !== undefined){
if(typeof data.terminal !== "boolean"){
vErrors = fail(vErrors, instancePath+"/terminal", "type", {type: "boolean"});
}
}
if(data.consoleSize !== undefined){
let data1 = data.consoleSize;
if(data1 && typeof data1 == "object" && !Array.isArray(data1)){
if(data1.height === undefined){
vErrors = fail(vErrors, instancePath+"/consoleSize", "required", {missingProperty: "height"});
}
if(data1.width === undefined){
vErrors = fail(vErrors, instancePath+"/consoleSize", "required", {missingProperty: "width"});
}
if(data1.height !== undefined){
let data2 = data1.height;
if(!Number.isInteger(data2) || data2 < 0 || data2 > 4294967295){
vErrors = fail(vErrors, instancePath+"/consoleSize/height", "integer", {format: "uint32"});
}
}
if(data1.width !== undefined){
let data3 = data1.width;
if(!Number.isInteger(data3) || data3 < 0 || data3 > 4294967295){
vErrors = fail(vErrors, instancePath+"/consoleSize/width", "integer", {format: "uint32"});
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/consoleSize", "type", {type: "object"});
}
}
if(data.cwd !== undefined){
let data4 = data.cwd;
if(typeof data4 === "string"){
if(!pattern2.test(data4)){
vErrors = fail(vErrors, instancePath+"/cwd", "pattern", {pattern: "^/"});
}
}
else {
vErrors = fail(vErrors, instancePath+"/cwd", "type", {type: "string"});
}
}
if(data.env !== undefined){
if(!(validate25(data.env, instancePath+"/env"))){
vErrors = vErrors === null ? validate25.errors : vErrors.concat(validate25.errors);
}
}
if(data.args !== undefined){
let data6 = data.args;
if(Array.isArray(data6)){
if(data6.length < 1){
vErrors = fail(vErrors, instancePath+"/args", "minItems", {limit: 1});
}
const len0 = data6.length;
for(let i0=0; i0<len0; i0++){
if(typeof data6[i0] !== "string"){
vErrors = fail(vErrors, instancePath+"/args/" + i0, "type", {type: "string"});
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/args", "type", {type: "array"});
}
}
if(data.user !== undefined){
let data8 = data.user;
if(data8 && typeof data8 == "object" && !Array.isArray(data8)){
if(data8.uid !== undefined){
let data9 = data8.uid;
if(!Number.isInteger(data9) || data9 < 0 || data9 > 4294967294){
vErrors = fail(vErrors, instancePath+"/user/uid", "integer", {format: "id"});
}
}
if(data8.gid !== undefined){
let data10 = data8.gid;
if(!Number.isInteger(data10) || data10 < 0 || data10 > 4294967294){
vErrors = fail(vErrors, instancePath+"/user/gid", "integer", {format: "id"});
}
}
if(data8.umask !== undefined){
let data11 = data8.umask;
if(!Number.isInteger(data11) || data11 < 0 || data11 > 4294967295){
vErrors = fail(vErrors, instancePath+"/user/umask", "integer", {format: "uint32"});
}
}
if(data8.additionalGids !== undefined){
let data12 = data8.additionalGids;
if(Array.isArray(data12)){
const len1 = data12.length;
for(let i1=0; i1<len1; i1++){
let data13 = data12[i1];
if(!Number.isInteger(data13) || data13 < 0 || data13 > 4294967294){
vErrors = fail(vErrors, instancePath+"/user/additionalGids/" + i1, "integer", {format: "id"});
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/user/additionalGids", "type", {type: "array"});
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/user", "type", {type: "object"});
}
}
if(data.capabilities !== undefined){
let data14 = data.capabilities;
if(data14 && typeof data14 == "object" && !Array.isArray(data14)){
if(data14.bounding !== undefined){
if(!(validate27(data14.bounding, instancePath+"/capabilities/bounding"))){
vErrors = vErrors === null ? validate27.errors : vErrors.concat(validate27.errors);
}
}
if(data14.effective !== undefined){
if(!(validate27(data14.effective, instancePath+"/capabilities/effective"))){
vErrors = vErrors === null ? validate27.errors : vErrors.concat(validate27.errors);
}
}
if(data14.inheritable !== undefined){
if(!(validate27(data14.inheritable, instancePath+"/capabilities/inheritable"))){
vErrors = vErrors === null ? validate27.errors : vErrors.concat(validate27.errors);
}
}
if(data14.permitted !== undefined){
if(!(validate27(data14.permitted, instancePath+"/capabilities/permitted"))){
vErrors = vErrors === null ? validate27.errors : vErrors.concat(validate27.errors);
}
}
if(data14.ambient !== undefined){
if(!(validate27(data14.ambient, instancePath+"/capabilities/ambient"))){
vErrors = vErrors === null ? validate27.errors : vErrors.concat(validate27.errors);
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/capabilities", "type", {type: "object"});
}
}
if(data.rlimits !== undefined){
let data20 = data.rlimits;
if(Array.isArray(data20)){
const len2 = data20.length;
for(let i2=0; i2<len2; i2++){
let data21 = data20[i2];
if(data21 && typeof data21 == "object" && !Array.isArray(data21)){
if(data21.type === undefined){
vErrors = fail(vErrors, instancePath+"/rlimits/" + i2, "required", {missingProperty: "type"});
}
if(data21.soft === undefined){
vErrors = fail(vErrors, instancePath+"/rlimits/" + i2, "required", {missingProperty: "soft"});
}
if(data21.hard === undefined){
vErrors = fail(vErrors, instancePath+"/rlimits/" + i2, "required", {missingProperty: "hard"});
}
if(data21.type !== undefined){
let data22 = data21.type;
if(data22 !== "RLIMIT_AS" && data22 !== "RLIMIT_CORE" && data22 !== "RLIMIT_CPU" && data22 !== "RLIMIT_DATA" && data22 !== "RLIMIT_FSIZE" && data22 !== "RLIMIT_LOCKS" && data22 !== "RLIMIT_MEMLOCK" && data22 !== "RLIMIT_MSGQUEUE" && data22 !== "RLIMIT_NICE" && data22 !== "RLIMIT_NOFILE" && data22 !== "RLIMIT_NPROC" && data22 !== "RLIMIT_RSS" && data22 !== "RLIMIT_RTPRIO" && data22 !== "RLIMIT_RTTIME" && data22 !== "RLIMIT_SIGPENDING" && data22 !== "RLIMIT_STACK"){
vErrors = fail(vErrors, instancePath+"/rlimits/" + i2+"/type", "choice", {allowed: "RLIMIT_AS, RLIMIT_CORE, RLIMIT_CPU, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_LOCKS, RLIMIT_MEMLOCK, RLIMIT_MSGQUEUE, RLIMIT_NICE, RLIMIT_NOFILE, RLIMIT_NPROC, RLIMIT_RSS, RLIMIT_RTPRIO, RLIMIT_RTTIME, RLIMIT_SIGPENDING, RLIMIT_STACK"});
}
}
if(data21.soft !== undefined){
let data23 = data21.soft;
if(typeof data23 != "bigint" && !Number.isInteger(data23) || data23 < 0 || data23 > 18446744073709551615n){
vErrors = fail(vErrors, instancePath+"/rlimits/" + i2+"/soft", "integer", {format: "uint64"});
}
else if(typeof data23 == "number") data21["soft"] = BigInt(data23);
}
if(data21.hard !== undefined){
let data24 = data21.hard;
if(typeof data24 != "bigint" && !Number.isInteger(data24) || data24 < 0 || data24 > 18446744073709551615n){
vErrors = fail(vErrors, instancePath+"/rlimits/" + i2+"/hard", "integer", {format: "uint64"});
}
else if(typeof data24 == "number") data21["hard"] = BigInt(data24);
}
}
else {
vErrors = fail(vErrors, instancePath+"/rlimits/" + i2, "type", {type: "object"});
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/rlimits", "type", {type: "array"});
}
}
if(data.noNewPrivileges !== undefined){
if(typeof data.noNewPrivileges !== "boolean"){
vErrors = fail(vErrors, instancePath+"/noNewPrivileges", "type", {type: "boolean"});
}
}
if(data.oomScoreAdj !== undefined){
let data26 = data.oomScoreAdj;
if(!(((typeof data26 == "number") && (!(data26 % 1) && !isNaN(data26))) && (isFinite(data26)))){
vErrors = fail(vErrors, instancePath+"/oomScoreAdj", "type", {type: "integer"});
}
if((typeof data26 == "number") && (isFinite(data26))){
if(data26 > 1000 || isNaN(data26)){
vErrors = fail(vErrors, instancePath+"/oomScoreAdj", "maximum", {comparison: "<=", limit: 1000});
}
if(data26 < -1000 || isNaN(data26)){
vErrors = fail(vErrors, instancePath+"/oomScoreAdj", "minimum", {comparison: ">=", limit: -1000});
}
}
}
if(data.apparmorProfile !== undefined){
if(typeof data.apparmorProfile !== "string"){
vErrors = fail(vErrors, instancePath+"/apparmorProfile", "type", {type: "string"});
}
}
if(data.selinuxLabel !== undefined){
if(typeof data.selinuxLabel !== "string"){
vErrors = fail(vErrors, instancePath+"/selinuxLabel", "type", {type: "string"});
}
}
if(data.scheduler !== undefined){
let data29 = data.scheduler;
if(data29 && typeof data29 == "object" && !Array.isArray(data29)){
if(data29.policy === undefined){
vErrors = fail(vErrors, instancePath+"/scheduler", "required", {missingProperty: "policy"});
}
if(data29.policy !== undefined){
let data30 = data29.policy;
if(data30 !== "SCHED_OTHER" && data30 !== "SCHED_FIFO" && data30 !== "SCHED_RR" && data30 !== "SCHED_BATCH" && data30 !== "SCHED_ISO" && data30 !== "SCHED_IDLE" && data30 !== "SCHED_DEADLINE"){
vErrors = fail(vErrors, instancePath+"/scheduler/policy", "choice", {allowed: "SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_ISO, SCHED_IDLE, SCHED_DEADLINE"});
}
}
if(data29.nice !== undefined){
let data31 = data29.nice;
if(!Number.isInteger(data31) || data31 < -2147483648 || data31 > 2147483647){
vErrors = fail(vErrors, instancePath+"/scheduler/nice", "integer", {format: "int32"});
}
}
if(data29.priority !== undefined){
let data32 = data29.priority;
if(!Number.isInteger(data32) || data32 < -2147483648 || data32 > 2147483647){
vErrors = fail(vErrors, instancePath+"/scheduler/priority", "integer", {format: "int32"});
}
}
if(data29.flags !== undefined){
let data33 = data29.flags;
if(Array.isArray(data33)){
const len3 = data33.length;
for(let i3=0; i3<len3; i3++){
let data34 = data33[i3];
if(data34 !== "SCHED_FLAG_RESET_ON_FORK" && data34 !== "SCHED_FLAG_RECLAIM" && data34 !== "SCHED_FLAG_DL_OVERRUN" && data34 !== "SCHED_FLAG_KEEP_POLICY" && data34 !== "SCHED_FLAG_KEEP_PARAMS" && data34 !== "SCHED_FLAG_UTIL_CLAMP_MIN" && data34 !== "SCHED_FLAG_UTIL_CLAMP_MAX"){
vErrors = fail(vErrors, instancePath+"/scheduler/flags/" + i3, "choice", {allowed: "SCHED_FLAG_RESET_ON_FORK, SCHED_FLAG_RECLAIM, SCHED_FLAG_DL_OVERRUN, SCHED_FLAG_KEEP_POLICY, SCHED_FLAG_KEEP_PARAMS, SCHED_FLAG_UTIL_CLAMP_MIN, SCHED_FLAG_UTIL_CLAMP_MAX"});
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/scheduler/flags", "type", {type: "array"});
}
}
if(data29.runtime !== undefined){
let data35 = data29.runtime;
if(typeof data35 != "bigint" && !Number.isInteger(data35) || data35 < 0 || data35 > 18446744073709551615n){
vErrors = fail(vErrors, instancePath+"/scheduler/runtime", "integer", {format: "uint64"});
}
else if(typeof data35 == "number") data29["runtime"] = BigInt(data35);
}
if(data29.deadline !== undefined){
let data36 = data29.deadline;
if(typeof data36 != "bigint" && !Number.isInteger(data36) || data36 < 0 || data36 > 18446744073709551615n){
vErrors = fail(vErrors, instancePath+"/scheduler/deadline", "integer", {format: "uint64"});
}
else if(typeof data36 == "number") data29["deadline"] = BigInt(data36);
}
if(data29.period !== undefined){
let data37 = data29.period;
if(typeof data37 != "bigint" && !Number.isInteger(data37) || data37 < 0 || data37 > 18446744073709551615n){
vErrors = fail(vErrors, instancePath+"/scheduler/period", "integer", {format: "uint64"});
}
else if(typeof data37 == "number") data29["period"] = BigInt(data37);
}
}
else {
vErrors = fail(vErrors, instancePath+"/scheduler", "type", {type: "object"});
}
}
if(data.ioPriority !== undefined){
let data38 = data.ioPriority;
if(data38 && typeof data38 == "object" && !Array.isArray(data38)){
if(data38.class === undefined){
vErrors = fail(vErrors, instancePath+"/ioPriority", "required", {missingProperty: "class"});
}
if(data38.priority === undefined){
vErrors = fail(vErrors, instancePath+"/ioPriority", "required", {missingProperty: "priority"});
}
if(data38.class !== undefined){
let data39 = data38.class;
if(data39 !== "IOPRIO_CLASS_RT" && data39 !== "IOPRIO_CLASS_BE" && data39 !== "IOPRIO_CLASS_IDLE"){
vErrors = fail(vErrors, instancePath+"/ioPriority/class", "choice", {allowed: "IOPRIO_CLASS_RT, IOPRIO_CLASS_BE, IOPRIO_CLASS_IDLE"});
}
}
if(data38.priority !== undefined){
let data40 = data38.priority;
if(!(((typeof data40 == "number") && (!(data40 % 1) && !isNaN(data40))) && (isFinite(data40)))){
vErrors = fail(vErrors, instancePath+"/ioPriority/priority", "type", {type: "integer"});
}
if((typeof data40 == "number") && (isFinite(data40))){
if(data40 > 7 || isNaN(data40)){
vErrors = fail(vErrors, instancePath+"/ioPriority/priority", "maximum", {comparison: "<=", limit: 7});
}
if(data40 < 0 || isNaN(data40)){
vErrors = fail(vErrors, instancePath+"/ioPriority/priority", "minimum", {comparison: ">=", limit: 0});
}
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/ioPriority", "type", {type: "object"});
}
}
if(data.execCPUAffinity !== undefined){
let data41 = data.execCPUAffinity;
if(data41 && typeof data41 == "object" && !Array.isArray(data41)){
if(data41.initial !== undefined){
let data42 = data41.initial;
if(typeof data42 === "string"){
if(!pattern4.test(data42)){
vErrors = fail(vErrors, instancePath+"/execCPUAffinity/initial", "pattern", {pattern: "^[0-9, -]*$"});
}
}
else {
vErrors = fail(vErrors, instancePath+"/execCPUAffinity/initial", "type", {type: "string"});
}
}
if(data41.final !== undefined){
let data43 = data41.final;
if(typeof data43 === "string"){
if(!pattern4.test(data43)){
vErrors = fail(vErrors, instancePath+"/execCPUAffinity/final", "pattern", {pattern: "^[0-9, -]*$"});
}
}
else {
vErrors = fail(vErrors, instancePath+"/execCPUAffinity/final", "type", {type: "string"});
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/execCPUAffinity", "type", {type: "object"});
}
}
}
else {
vErrors = fail(vErrors, instancePath, "type", {type: "object"});
}
validate24.errors = vErrors;
return vErrors === null;
}


function validate37(data, instancePath = ""){
let vErrors = null;
if(data && typeof data == "object" && !Array.isArray(data)){
if(data.containerID === undefined){
vErrors = fail(vErrors, instancePath, "required", {missingProperty: "containerID"});
}
if(data.hostID === undefined){
vErrors = fail(vErrors, instancePath, "required", {missingProperty: "hostID"});
}
if(data.size === undefined){
vErrors = fail(vErrors, instancePath, "required", {missingProperty: "size"});
}
if(data.containerID !== undefined){
let data0 = data.containerID;
if(!Number.isInteger(data0) || data0 < 0 || data0 > 4294967294){
vErrors = fail(vErrors, instancePath+"/containerID", "integer", {format: "id"});
}
}
if(data.hostID !== undefined){
let data1 = data.hostID;
if(!Number.isInteger(data1) || data1 < 0 || data1 > 4294967294){
vErrors = fail(vErrors, instancePath+"/hostID", "integer", {format: "id"});
}
}
if(data.size !== undefined){
let data2 = data.size;
if(!Number.isInteger(data2) || data2 < 0 || data2 > 4294967295){
vErrors = fail(vErrors, instancePath+"/size", "integer", {format: "uint32"});
}
}
}
else {
vErrors = fail(vErrors, instancePath, "type", {type: "object"});
}
validate37.errors = vErrors;
return vErrors === null;
}


function validate36(data, instancePath = ""){
let vErrors = null;
if(Array.isArray(data)){
const len0 = data.length;
for(let i0=0; i0<len0; i0++){
if(!(validate37(data[i0], instancePath+"/" + i0))){
vErrors = vErrors === null ? validate37.errors : vErrors.concat(validate37.errors);
}
}
}
else {
vErrors = fail(vErrors, instancePath, "type", {type: "array"});
}
validate36.errors = vErrors;
return vErrors === null;
}


function validate34(data, instancePath = ""){
let vErrors = null;
if(data && typeof data == "object" && !Array.isArray(data)){
if(data.destination === undefined){
vErrors = fail(vErrors, instancePath, "required", {missingProperty: "destination"});
}
if(data.destination !== undefined){
let data0 = data.destination;
if(typeof data0 === "string"){
if(!pattern1.test(data0)){
vErrors = fail(vErrors, instancePath+"/destination", "pattern", {pattern: "^[^]"});
}
}
else {
vErrors = fail(vErrors, instancePath+"/destination", "type", {type: "string"});
}
}
if(data.source !== undefined){
if(typeof data.source !== "string"){
vErrors = fail(vErrors, instancePath+"/source", "type", {type: "string"});
}
}
if(data.type !== undefined){
if(typeof data.type !== "string"){
vErrors = fail(vErrors, instancePath+"/type", "type", {type: "string"});
}
}
if(data.options !== undefined){
if(!(validate27(data.options, instancePath+"/options"))){
vErrors = vErrors === null ? validate27.errors : vErrors.concat(validate27.errors);
}
}
if(data.uidMappings !== undefined){
if(!(validate36(data.uidMappings, instancePath+"/uidMappings"))){
vErrors = vErrors === null ? validate36.errors : vErrors.concat(validate36.errors);
}
}
if(data.gidMappings !== undefined){
if(!(validate36(data.gidMappings, instancePath+"/gidMappings"))){
vErrors = vErrors === null ? validate36.errors : vErrors.concat(validate36.errors);
}
}
}
else {
vErrors = fail(vErrors, instancePath, "type", {type: "object"});
}
validate34.errors = vErrors;
return vErrors === null;
}


function validate44(data, instancePath = ""){
let vErrors = null;
if(data && typeof data == "object" && !Array.isArray(data)){
if(data.path === undefined){
vErrors = fail(vErrors, instancePath, "required", {missingProperty: "path"});
}
if(data.path !== undefined){
let data0 = data.path;
if(typeof data0 === "string"){
if(!pattern2.test(data0)){
vErrors = fail(vErrors, instancePath+"/path", "pattern", {pattern: "^/"});
}
}
else {
vErrors = fail(vErrors, instancePath+"/path", "type", {type: "string"});
}
}
if(data.args !== undefined){
if(!(validate27(data.args, instancePath+"/args"))){
vErrors = vErrors === null ? validate27.errors : vErrors.concat(validate27.errors);
}
}
if(data.env !== undefined){
if(!(validate25(data.env, instancePath+"/env"))){
vErrors = vErrors === null ? validate25.errors : vErrors.concat(validate25.errors);
}
}
if(data.timeout !== undefined){
let data3 = data.timeout;
if(!(((typeof data3 == "number") && (!(data3 % 1) && !isNaN(data3))) && (isFinite(data3)))){
vErrors = fail(vErrors, instancePath+"/timeout", "type", {type: "integer"});
}
if((typeof data3 == "number") && (isFinite(data3))){
if(data3 < 1 || isNaN(data3)){
vErrors = fail(vErrors, instancePath+"/timeout", "minimum", {comparison: ">=", limit: 1});
}
}
}
}
else {
vErrors = fail(vErrors, instancePath, "type", {type: "object"});
}
validate44.errors = vErrors;
return vErrors === null;
}


function validate43(data, instancePath = ""){
let vErrors = null;
if(Array.isArray(data)){
const len0 = data.length;
for(let i0=0; i0<len0; i0++){
if(!(validate44(data[i0], instancePath+"/" + i0))){
vErrors = vErrors === null ? validate44.errors : vErrors.concat(validate44.errors);
}
}
}
else {
vErrors = fail(vErrors, instancePath, "type", {type: "array"});
}
validate43.errors = vErrors;
return vErrors === null;
}


function validate42(data, instancePath = ""){
let vErrors = null;
if(data && typeof data == "object" && !Array.isArray(data)){
if(data.prestart !== undefined){
if(!(validate43(data.prestart, instancePath+"/prestart"))){
vErrors = vErrors === null ? validate43.errors : vErrors.concat(validate43.errors);
}
}
if(data.createRuntime !== undefined){
if(!(validate43(data.createRuntime, instancePath+"/createRuntime"))){
vErrors = vErrors === null ? validate43.errors : vErrors.concat(validate43.errors);
}
}
if(data.createContainer !== undefined){
if(!(validate43(data.createContainer, instancePath+"/createContainer"))){
vErrors = vErrors === null ? validate43.errors : vErrors.concat(validate43.errors);
}
}
if(data.startContainer !== undefined){
if(!(validate43(data.startContainer, instancePath+"/startContainer"))){
vErrors = vErrors === null ? validate43.errors : vErrors.concat(validate43.errors);
}
}
if(data.poststart !== undefined){
if(!(validate43(data.poststart, instancePath+"/poststart"))){
vErrors = vErrors === null ? validate43.errors : vErrors.concat(validate43.errors);
}
}
if(data.poststop !== undefined){
if(!(validate43(data.poststop, instancePath+"/poststop"))){
vErrors = vErrors === null ? validate43.errors : vErrors.concat(validate43.errors);
}
}
}
else {
vErrors = fail(vErrors, instancePath, "type", {type: "object"});
}
validate42.errors = vErrors;
return vErrors === null;
}


function validate55(data, instancePath = ""){
let vErrors = null;
if(data && typeof data == "object" && !Array.isArray(data)){
for(const key0 in data){
if(typeof data[key0] !== "string"){
vErrors = fail(vErrors, instancePath+"/" + key0.replace(/~/g, "~0").replace(/\//g, "~1"), "type", {type: "string"});
}
}
}
else {
vErrors = fail(vErrors, instancePath, "type", {type: "object"});
}
validate55.errors = vErrors;
return vErrors === null;
}

const pattern8 = new RegExp("^(?:/|$)", "");
const pattern12 = new RegExp("^(?!\\.\\.?$)(?:/|[^/\\n]*)$", "");
const pattern13 = new RegExp("^[^\\n]*$", "");
const pattern14 = new RegExp("^(?:MB:[^\\n]*)?$", "");

function validate60(data, instancePath = ""){
let vErrors = null;
if(data && typeof data == "object" && !Array.isArray(data)){
if(data.secs !== undefined){
let data0 = data.secs;
if(typeof data0 != "bigint" && !Number.isInteger(data0) || data0 < -9223372036854775808n || data0 > 9223372036854775807n){
vErrors = fail(vErrors, instancePath+"/secs", "integer", {format: "int64"});
}
else if(typeof data0 == "number") data["secs"] = BigInt(data0);
}
if(data.nanosecs !== undefined){
let data1 = data.nanosecs;
if(!(((typeof data1 == "number") && (!(data1 % 1) && !isNaN(data1))) && (isFinite(data1)))){
vErrors = fail(vErrors, instancePath+"/nanosecs", "type", {type: "integer"});
}
if((typeof data1 == "number") && (isFinite(data1))){
if(data1 > 999999999 || isNaN(data1)){
vErrors = fail(vErrors, instancePath+"/nanosecs", "maximum", {comparison: "<=", limit: 999999999});
}
if(data1 < 0 || isNaN(data1)){
vErrors = fail(vErrors, instancePath+"/nanosecs", "minimum", {comparison: ">=", limit: 0});
}
}
}
}
else {
vErrors = fail(vErrors, instancePath, "type", {type: "object"});
}
validate60.errors = vErrors;
return vErrors === null;
}


function validate63(data, instancePath = ""){
let vErrors = null;
if(data && typeof data == "object" && !Array.isArray(data)){
if(data.type === undefined){
vErrors = fail(vErrors, instancePath, "required", {missingProperty: "type"});
}
if(data.path === undefined){
vErrors = fail(vErrors, instancePath, "required", {missingProperty: "path"});
}
if(data.type !== undefined){
let data0 = data.type;
if(data0 !== "c" && data0 !== "b" && data0 !== "u" && data0 !== "p"){
vErrors = fail(vErrors, instancePath+"/type", "choice", {allowed: "c, b, u, p"});
}
}
if(data.path !== undefined){
let data1 = data.path;
if(typeof data1 === "string"){
if(!pattern2.test(data1)){
vErrors = fail(vErrors, instancePath+"/path", "pattern", {pattern: "^/"});
}
}
else {
vErrors = fail(vErrors, instancePath+"/path", "type", {type: "string"});
}
}
if(data.major !== undefined){
let data2 = data.major;
if(typeof data2 != "bigint" && !Number.isInteger(data2) || data2 < -9223372036854775808n || data2 > 9223372036854775807n){
vErrors = fail(vErrors, instancePath+"/major", "integer", {format: "int64"});
}
else if(typeof data2 == "number") data["major"] = BigInt(data2);
}
if(data.minor !== undefined){
let data3 = data.minor;
if(typeof data3 != "bigint" && !Number.isInteger(data3) || data3 < -9223372036854775808n || data3 > 9223372036854775807n){
vErrors = fail(vErrors, instancePath+"/minor", "integer", {format: "int64"});
}
else if(typeof data3 == "number") data["minor"] = BigInt(data3);
}
if(data.fileMode !== undefined){
let data4 = data.fileMode;
if(!Number.isInteger(data4) || data4 < 0 || data4 > 4294967295){
vErrors = fail(vErrors, instancePath+"/fileMode", "integer", {format: "uint32"});
}
}
if(data.uid !== undefined){
let data5 = data.uid;
if(!Number.isInteger(data5) || data5 < 0 || data5 > 4294967294){
vErrors = fail(vErrors, instancePath+"/uid", "integer", {format: "id"});
}
}
if(data.gid !== undefined){
let data6 = data.gid;
if(!Number.isInteger(data6) || data6 < 0 || data6 > 4294967294){
vErrors = fail(vErrors, instancePath+"/gid", "integer", {format: "id"});
}
}
}
else {
vErrors = fail(vErrors, instancePath, "type", {type: "object"});
}
validate63.errors = vErrors;
return vErrors === null;
}

const pattern10 = new RegExp("^[rwm]*$", "");
const pattern11 = new RegExp("^[1-9][0-9]*[KMG]B$", "");

function validate66(data, instancePath = ""){
let vErrors = null;
if(Array.isArray(data)){
const len0 = data.length;
for(let i0=0; i0<len0; i0++){
let data0 = data[i0];
if(data0 && typeof data0 == "object" && !Array.isArray(data0)){
if(data0.major === undefined){
vErrors = fail(vErrors, instancePath+"/" + i0, "required", {missingProperty: "major"});
}
if(data0.minor === undefined){
vErrors = fail(vErrors, instancePath+"/" + i0, "required", {missingProperty: "minor"});
}
if(data0.rate === undefined){
vErrors = fail(vErrors, instancePath+"/" + i0, "required", {missingProperty: "rate"});
}
if(data0.major !== undefined){
let data1 = data0.major;
if(typeof data1 != "bigint" && !Number.isInteger(data1) || data1 < -9223372036854775808n || data1 > 9223372036854775807n){
vErrors = fail(vErrors, instancePath+"/" + i0+"/major", "integer", {format: "int64"});
}
else if(typeof data1 == "number") data0["major"] = BigInt(data1);
}
if(data0.minor !== undefined){
let data2 = data0.minor;
if(typeof data2 != "bigint" && !Number.isInteger(data2) || data2 < -9223372036854775808n || data2 > 9223372036854775807n){
vErrors = fail(vErrors, instancePath+"/" + i0+"/minor", "integer", {format: "int64"});
}
else if(typeof data2 == "number") data0["minor"] = BigInt(data2);
}
if(data0.rate !== undefined){
let data3 = data0.rate;
if(typeof data3 != "bigint" && !Number.isInteger(data3) || data3 < 0 || data3 > 18446744073709551615n){
vErrors = fail(vErrors, instancePath+"/" + i0+"/rate", "integer", {format: "uint64"});
}
else if(typeof data3 == "number") data0["rate"] = BigInt(data3);
}
}
else {
vErrors = fail(vErrors, instancePath+"/" + i0, "type", {type: "object"});
}
}
}
else {
vErrors = fail(vErrors, instancePath, "type", {type: "array"});
}
validate66.errors = vErrors;
return vErrors === null;
}


function validate65(data, instancePath = ""){
let vErrors = null;
if(data && typeof data == "object" && !Array.isArray(data)){
if(data.devices !== undefined){
let data0 = data.devices;
if(Array.isArray(data0)){
const len0 = data0.length;
for(let i0=0; i0<len0; i0++){
let data1 = data0[i0];
if(data1 && typeof data1 == "object" && !Array.isArray(data1)){
if(data1.allow === undefined){
vErrors = fail(vErrors, instancePath+"/devices/" + i0, "required", {missingProperty: "allow"});
}
if(data1.allow !== undefined){
if(typeof data1.allow !== "boolean"){
vErrors = fail(vErrors, instancePath+"/devices/" + i0+"/allow", "type", {type: "boolean"});
}
}
if(data1.type !== undefined){
let data3 = data1.type;
if(data3 !== "" && data3 !== "a" && data3 !== "b" && data3 !== "c"){
vErrors = fail(vErrors, instancePath+"/devices/" + i0+"/type", "choice", {allowed: "a, b, c"});
}
}
if(data1.major !== undefined){
let data4 = data1.major;
if(typeof data4 != "bigint" && !Number.isInteger(data4) || data4 < -9223372036854775808n || data4 > 9223372036854775807n){
vErrors = fail(vErrors, instancePath+"/devices/" + i0+"/major", "integer", {format: "int64"});
}
else if(typeof data4 == "number") data1["major"] = BigInt(data4);
}
if(data1.minor !== undefined){
let data5 = data1.minor;
if(typeof data5 != "bigint" && !Number.isInteger(data5) || data5 < -9223372036854775808n || data5 > 9223372036854775807n){
vErrors = fail(vErrors, instancePath+"/devices/" + i0+"/minor", "integer", {format: "int64"});
}
else if(typeof data5 == "number") data1["minor"] = BigInt(data5);
}
if(data1.access !== undefined){
let data6 = data1.access;
if(typeof data6 === "string"){
if(!pattern10.test(data6)){
vErrors = fail(vErrors, instancePath+"/devices/" + i0+"/access", "pattern", {pattern: "^[rwm]*$"});
}
}
else {
vErrors = fail(vErrors, instancePath+"/devices/" + i0+"/access", "type", {type: "string"});
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/devices/" + i0, "type", {type: "object"});
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/devices", "type", {type: "array"});
}
}
if(data.memory !== undefined){
let data7 = data.memory;
if(data7 && typeof data7 == "object" && !Array.isArray(data7)){
if(data7.limit !== undefined){
let data8 = data7.limit;
if(typeof data8 != "bigint" && !Number.isInteger(data8) || data8 < -9223372036854775808n || data8 > 9223372036854775807n){
vErrors = fail(vErrors, instancePath+"/memory/limit", "integer", {format: "int64"});
}
else if(typeof data8 == "number") data7["limit"] = BigInt(data8);
}
if(data7.reservation !== undefined){
let data9 = data7.reservation;
if(typeof data9 != "bigint" && !Number.isInteger(data9) || data9 < -9223372036854775808n || data9 > 9223372036854775807n){
vErrors = fail(vErrors, instancePath+"/memory/reservation", "integer", {format: "int64"});
}
else if(typeof data9 == "number") data7["reservation"] = BigInt(data9);
}
if(data7.swap !== undefined){
let data10 = data7.swap;
if(typeof data10 != "bigint" && !Number.isInteger(data10) || data10 < -9223372036854775808n || data10 > 9223372036854775807n){
vErrors = fail(vErrors, instancePath+"/memory/swap", "integer", {format: "int64"});
}
else if(typeof data10 == "number") data7["swap"] = BigInt(data10);
}
if(data7.kernel !== undefined){
let data11 = data7.kernel;
if(typeof data11 != "bigint" && !Number.isInteger(data11) || data11 < -9223372036854775808n || data11 > 9223372036854775807n){
vErrors = fail(vErrors, instancePath+"/memory/kernel", "integer", {format: "int64"});
}
else if(typeof data11 == "number") data7["kernel"] = BigInt(data11);
}
if(data7.kernelTCP !== undefined){
let data12 = data7.kernelTCP;
if(typeof data12 != "bigint" && !Number.isInteger(data12) || data12 < -9223372036854775808n || data12 > 9223372036854775807n){
vErrors = fail(vErrors, instancePath+"/memory/kernelTCP", "integer", {format: "int64"});
}
else if(typeof data12 == "number") data7["kernelTCP"] = BigInt(data12);
}
if(data7.swappiness !== undefined){
let data13 = data7.swappiness;
if(typeof data13 != "bigint" && !Number.isInteger(data13) || data13 < 0 || data13 > 18446744073709551615n){
vErrors = fail(vErrors, instancePath+"/memory/swappiness", "integer", {format: "uint64"});
}
else if(typeof data13 == "number") data7["swappiness"] = BigInt(data13);
}
if(data7.disableOOMKiller !== undefined){
if(typeof data7.disableOOMKiller !== "boolean"){
vErrors = fail(vErrors, instancePath+"/memory/disableOOMKiller", "type", {type: "boolean"});
}
}
if(data7.useHierarchy !== undefined){
if(typeof data7.useHierarchy !== "boolean"){
vErrors = fail(vErrors, instancePath+"/memory/useHierarchy", "type", {type: "boolean"});
}
}
if(data7.checkBeforeUpdate !== undefined){
if(typeof data7.checkBeforeUpdate !== "boolean"){
vErrors = fail(vErrors, instancePath+"/memory/checkBeforeUpdate", "type", {type: "boolean"});
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/memory", "type", {type: "object"});
}
}
if(data.cpu !== undefined){
let data17 = data.cpu;
if(data17 && typeof data17 == "object" && !Array.isArray(data17)){
if(data17.shares !== undefined){
let data18 = data17.shares;
if(typeof data18 != "bigint" && !Number.isInteger(data18) || data18 < 0 || data18 > 18446744073709551615n){
vErrors = fail(vErrors, instancePath+"/cpu/shares", "integer", {format: "uint64"});
}
else if(typeof data18 == "number") data17["shares"] = BigInt(data18);
}
if(data17.quota !== undefined){
let data19 = data17.quota;
if(typeof data19 != "bigint" && !Number.isInteger(data19) || data19 < -9223372036854775808n || data19 > 9223372036854775807n){
vErrors = fail(vErrors, instancePath+"/cpu/quota", "integer", {format: "int64"});
}
else if(typeof data19 == "number") data17["quota"] = BigInt(data19);
}
if(data17.burst !== undefined){
let data20 = data17.burst;
if(typeof data20 != "bigint" && !Number.isInteger(data20) || data20 < 0 || data20 > 18446744073709551615n){
vErrors = fail(vErrors, instancePath+"/cpu/burst", "integer", {format: "uint64"});
}
else if(typeof data20 == "number") data17["burst"] = BigInt(data20);
}
if(data17.period !== undefined){
let data21 = data17.period;
if(typeof data21 != "bigint" && !Number.isInteger(data21) || data21 < 0 || data21 > 18446744073709551615n){
vErrors = fail(vErrors, instancePath+"/cpu/period", "integer", {format: "uint64"});
}
else if(typeof data21 == "number") data17["period"] = BigInt(data21);
}
if(data17.realtimeRuntime !== undefined){
let data22 = data17.realtimeRuntime;
if(typeof data22 != "bigint" && !Number.isInteger(data22) || data22 < -9223372036854775808n || data22 > 9223372036854775807n){
vErrors = fail(vErrors, instancePath+"/cpu/realtimeRuntime", "integer", {format: "int64"});
}
else if(typeof data22 == "number") data17["realtimeRuntime"] = BigInt(data22);
}
if(data17.realtimePeriod !== undefined){
let data23 = data17.realtimePeriod;
if(typeof data23 != "bigint" && !Number.isInteger(data23) || data23 < 0 || data23 > 18446744073709551615n){
vErrors = fail(vErrors, instancePath+"/cpu/realtimePeriod", "integer", {format: "uint64"});
}
else if(typeof data23 == "number") data17["realtimePeriod"] = BigInt(data23);
}
if(data17.cpus !== undefined){
if(typeof data17.cpus !== "string"){
vErrors = fail(vErrors, instancePath+"/cpu/cpus", "type", {type: "string"});
}
}
if(data17.mems !== undefined){
if(typeof data17.mems !== "string"){
vErrors = fail(vErrors, instancePath+"/cpu/mems", "type", {type: "string"});
}
}
if(data17.idle !== undefined){
let data26 = data17.idle;
if(typeof data26 != "bigint" && !Number.isInteger(data26) || data26 < -9223372036854775808n || data26 > 9223372036854775807n){
vErrors = fail(vErrors, instancePath+"/cpu/idle", "integer", {format: "int64"});
}
else if(typeof data26 == "number") data17["idle"] = BigInt(data26);
}
}
else {
vErrors = fail(vErrors, instancePath+"/cpu", "type", {type: "object"});
}
}
if(data.pids !== undefined){
let data27 = data.pids;
if(data27 && typeof data27 == "object" && !Array.isArray(data27)){
if(data27.limit !== undefined){
let data28 = data27.limit;
if(typeof data28 != "bigint" && !Number.isInteger(data28) || data28 < -9223372036854775808n || data28 > 9223372036854775807n){
vErrors = fail(vErrors, instancePath+"/pids/limit", "integer", {format: "int64"});
}
else if(typeof data28 == "number") data27["limit"] = BigInt(data28);
}
}
else {
vErrors = fail(vErrors, instancePath+"/pids", "type", {type: "object"});
}
}
if(data.blockIO !== undefined){
let data29 = data.blockIO;
if(data29 && typeof data29 == "object" && !Array.isArray(data29)){
if(data29.weight !== undefined){
let data30 = data29.weight;
if(!Number.isInteger(data30) || data30 < 0 || data30 > 65535){
vErrors = fail(vErrors, instancePath+"/blockIO/weight", "integer", {format: "uint16"});
}
}
if(data29.leafWeight !== undefined){
let data31 = data29.leafWeight;
if(!Number.isInteger(data31) || data31 < 0 || data31 > 65535){
vErrors = fail(vErrors, instancePath+"/blockIO/leafWeight", "integer", {format: "uint16"});
}
}
if(data29.weightDevice !== undefined){
let data32 = data29.weightDevice;
if(Array.isArray(data32)){
const len1 = data32.length;
for(let i1=0; i1<len1; i1++){
let data33 = data32[i1];
if(data33 && typeof data33 == "object" && !Array.isArray(data33)){
if(data33.major === undefined){
vErrors = fail(vErrors, instancePath+"/blockIO/weightDevice/" + i1, "required", {missingProperty: "major"});
}
if(data33.minor === undefined){
vErrors = fail(vErrors, instancePath+"/blockIO/weightDevice/" + i1, "required", {missingProperty: "minor"});
}
if(data33.major !== undefined){
let data34 = data33.major;
if(typeof data34 != "bigint" && !Number.isInteger(data34) || data34 < -9223372036854775808n || data34 > 9223372036854775807n){
vErrors = fail(vErrors, instancePath+"/blockIO/weightDevice/" + i1+"/major", "integer", {format: "int64"});
}
else if(typeof data34 == "number") data33["major"] = BigInt(data34);
}
if(data33.minor !== undefined){
let data35 = data33.minor;
if(typeof data35 != "bigint" && !Number.isInteger(data35) || data35 < -9223372036854775808n || data35 > 9223372036854775807n){
vErrors = fail(vErrors, instancePath+"/blockIO/weightDevice/" + i1+"/minor", "integer", {format: "int64"});
}
else if(typeof data35 == "number") data33["minor"] = BigInt(data35);
}
if(data33.weight !== undefined){
let data36 = data33.weight;
if(!Number.isInteger(data36) || data36 < 0 || data36 > 65535){
vErrors = fail(vErrors, instancePath+"/blockIO/weightDevice/" + i1+"/weight", "integer", {format: "uint16"});
}
}
if(data33.leafWeight !== undefined){
let data37 = data33.leafWeight;
if(!Number.isInteger(data37) || data37 < 0 || data37 > 65535){
vErrors = fail(vErrors, instancePath+"/blockIO/weightDevice/" + i1+"/leafWeight", "integer", {format: "uint16"});
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/blockIO/weightDevice/" + i1, "type", {type: "object"});
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/blockIO/weightDevice", "type", {type: "array"});
}
}
if(data29.throttleReadBpsDevice !== undefined){
if(!(validate66(data29.throttleReadBpsDevice, instancePath+"/blockIO/throttleReadBpsDevice"))){
vErrors = vErrors === null ? validate66.errors : vErrors.concat(validate66.errors);
}
}
if(data29.throttleWriteBpsDevice !== undefined){
if(!(validate66(data29.throttleWriteBpsDevice, instancePath+"/blockIO/throttleWriteBpsDevice"))){
vErrors = vErrors === null ? validate66.errors : vErrors.concat(validate66.errors);
}
}
if(data29.throttleReadIOPSDevice !== undefined){
if(!(validate66(data29.throttleReadIOPSDevice, instancePath+"/blockIO/throttleReadIOPSDevice"))){
vErrors = vErrors === null ? validate66.errors : vErrors.concat(validate66.errors);
}
}
if(data29.throttleWriteIOPSDevice !== undefined){
if(!(validate66(data29.throttleWriteIOPSDevice, instancePath+"/blockIO/throttleWriteIOPSDevice"))){
vErrors = vErrors === null ? validate66.errors : vErrors.concat(validate66.errors);
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/blockIO", "type", {type: "object"});
}
}
if(data.hugepageLimits !== undefined){
let data42 = data.hugepageLimits;
if(Array.isArray(data42)){
const len2 = data42.length;
for(let i2=0; i2<len2; i2++){
let data43 = data42[i2];
if(data43 && typeof data43 == "object" && !Array.isArray(data43)){
if(data43.pageSize === undefined){
vErrors = fail(vErrors, instancePath+"/hugepageLimits/" + i2, "required", {missingProperty: "pageSize"});
}
if(data43.limit === undefined){
vErrors = fail(vErrors, instancePath+"/hugepageLimits/" + i2, "required", {missingProperty: "limit"});
}
if(data43.pageSize !== undefined){
let data44 = data43.pageSize;
if(typeof data44 === "string"){
if(!pattern11.test(data44)){
vErrors = fail(vErrors, instancePath+"/hugepageLimits/" + i2+"/pageSize", "pattern", {pattern: "^[1-9][0-9]*[KMG]B$"});
}
}
else {
vErrors = fail(vErrors, instancePath+"/hugepageLimits/" + i2+"/pageSize", "type", {type: "string"});
}
}
if(data43.limit !== undefined){
let data45 = data43.limit;
if(typeof data45 != "bigint" && !Number.isInteger(data45) || data45 < 0 || data45 > 18446744073709551615n){
vErrors = fail(vErrors, instancePath+"/hugepageLimits/" + i2+"/limit", "integer", {format: "uint64"});
}
else if(typeof data45 == "number") data43["limit"] = BigInt(data45);
}
}
else {
vErrors = fail(vErrors, instancePath+"/hugepageLimits/" + i2, "type", {type: "object"});
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/hugepageLimits", "type", {type: "array"});
}
}
if(data.network !== undefined){
let data46 = data.network;
if(data46 && typeof data46 == "object" && !Array.isArray(data46)){
if(data46.classID !== undefined){
let data47 = data46.classID;
if(!Number.isInteger(data47) || data47 < 0 || data47 > 4294967295){
vErrors = fail(vErrors, instancePath+"/network/classID", "integer", {format: "uint32"});
}
}
if(data46.priorities !== undefined){
let data48 = data46.priorities;
if(Array.isArray(data48)){
const len3 = data48.length;
for(let i3=0; i3<len3; i3++){
let data49 = data48[i3];
if(data49 && typeof data49 == "object" && !Array.isArray(data49)){
if(data49.name === undefined){
vErrors = fail(vErrors, instancePath+"/network/priorities/" + i3, "required", {missingProperty: "name"});
}
if(data49.priority === undefined){
vErrors = fail(vErrors, instancePath+"/network/priorities/" + i3, "required", {missingProperty: "priority"});
}
if(data49.name !== undefined){
if(typeof data49.name !== "string"){
vErrors = fail(vErrors, instancePath+"/network/priorities/" + i3+"/name", "type", {type: "string"});
}
}
if(data49.priority !== undefined){
let data51 = data49.priority;
if(!Number.isInteger(data51) || data51 < 0 || data51 > 4294967295){
vErrors = fail(vErrors, instancePath+"/network/priorities/" + i3+"/priority", "integer", {format: "uint32"});
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/network/priorities/" + i3, "type", {type: "object"});
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/network/priorities", "type", {type: "array"});
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/network", "type", {type: "object"});
}
}
if(data.rdma !== undefined){
let data52 = data.rdma;
if(data52 && typeof data52 == "object" && !Array.isArray(data52)){
for(const key0 in data52){
let data53 = data52[key0];
if(data53 && typeof data53 == "object" && !Array.isArray(data53)){
if(data53.hcaHandles !== undefined){
let data54 = data53.hcaHandles;
if(!Number.isInteger(data54) || data54 < 0 || data54 > 4294967295){
vErrors = fail(vErrors, instancePath+"/rdma/" + key0.replace(/~/g, "~0").replace(/\//g, "~1")+"/hcaHandles", "integer", {format: "uint32"});
}
}
if(data53.hcaObjects !== undefined){
let data55 = data53.hcaObjects;
if(!Number.isInteger(data55) || data55 < 0 || data55 > 4294967295){
vErrors = fail(vErrors, instancePath+"/rdma/" + key0.replace(/~/g, "~0").replace(/\//g, "~1")+"/hcaObjects", "integer", {format: "uint32"});
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/rdma/" + key0.replace(/~/g, "~0").replace(/\//g, "~1"), "type", {type: "object"});
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/rdma", "type", {type: "object"});
}
}
if(data.unified !== undefined){
if(!(validate55(data.unified, instancePath+"/unified"))){
vErrors = vErrors === null ? validate55.errors : vErrors.concat(validate55.errors);
}
}
}
else {
vErrors = fail(vErrors, instancePath, "type", {type: "object"});
}
validate65.errors = vErrors;
return vErrors === null;
}


function validate75(data, instancePath = ""){
let vErrors = null;
if(data !== "SCMP_ACT_ALLOW" && data !== "SCMP_ACT_ERRNO" && data !== "SCMP_ACT_KILL" && data !== "SCMP_ACT_KILL_PROCESS" && data !== "SCMP_ACT_KILL_THREAD" && data !== "SCMP_ACT_TRAP" && data !== "SCMP_ACT_TRACE" && data !== "SCMP_ACT_LOG" && data !== "SCMP_ACT_NOTIFY"){
vErrors = fail(vErrors, instancePath, "choice", {allowed: "SCMP_ACT_ALLOW, SCMP_ACT_ERRNO, SCMP_ACT_KILL, SCMP_ACT_KILL_PROCESS, SCMP_ACT_KILL_THREAD, SCMP_ACT_TRAP, SCMP_ACT_TRACE, SCMP_ACT_LOG, SCMP_ACT_NOTIFY"});
}
validate75.errors = vErrors;
return vErrors === null;
}


function validate78(data, instancePath = ""){
let vErrors = null;
if(data && typeof data == "object" && !Array.isArray(data)){
if(data.index === undefined){
vErrors = fail(vErrors, instancePath, "required", {missingProperty: "index"});
}
if(data.value === undefined){
vErrors = fail(vErrors, instancePath, "required", {missingProperty: "value"});
}
if(data.op === undefined){
vErrors = fail(vErrors, instancePath, "required", {missingProperty: "op"});
}
if(data.index !== undefined){
let data0 = data.index;
if(!(((typeof data0 == "number") && (!(data0 % 1) && !isNaN(data0))) && (isFinite(data0)))){
vErrors = fail(vErrors, instancePath+"/index", "type", {type: "integer"});
}
if((typeof data0 == "number") && (isFinite(data0))){
if(data0 > 5 || isNaN(data0)){
vErrors = fail(vErrors, instancePath+"/index", "maximum", {comparison: "<=", limit: 5});
}
if(data0 < 0 || isNaN(data0)){
vErrors = fail(vErrors, instancePath+"/index", "minimum", {comparison: ">=", limit: 0});
}
}
}
if(data.value !== undefined){
let data1 = data.value;
if(typeof data1 != "bigint" && !Number.isInteger(data1) || data1 < 0 || data1 > 18446744073709551615n){
vErrors = fail(vErrors, instancePath+"/value", "integer", {format: "uint64"});
}
else if(typeof data1 == "number") data["value"] = BigInt(data1);
}
if(data.valueTwo !== undefined){
let data2 = data.valueTwo;
if(typeof data2 != "bigint" && !Number.isInteger(data2) || data2 < 0 || data2 > 18446744073709551615n){
vErrors = fail(vErrors, instancePath+"/valueTwo", "integer", {format: "uint64"});
}
else if(typeof data2 == "number") data["valueTwo"] = BigInt(data2);
}
if(data.op !== undefined){
let data3 = data.op;
if(data3 !== "SCMP_CMP_NE" && data3 !== "SCMP_CMP_LT" && data3 !== "SCMP_CMP_LE" && data3 !== "SCMP_CMP_EQ" && data3 !== "SCMP_CMP_GE" && data3 !== "SCMP_CMP_GT" && data3 !== "SCMP_CMP_MASKED_EQ"){
vErrors = fail(vErrors, instancePath+"/op", "choice", {allowed: "SCMP_CMP_NE, SCMP_CMP_LT, SCMP_CMP_LE, SCMP_CMP_EQ, SCMP_CMP_GE, SCMP_CMP_GT, SCMP_CMP_MASKED_EQ"});
}
}
}
else {
vErrors = fail(vErrors, instancePath, "type", {type: "object"});
}
validate78.errors = vErrors;
return vErrors === null;
}


function validate74(data, instancePath = ""){
let vErrors = null;
if(data && typeof data == "object" && !Array.isArray(data)){
if(data.defaultAction === undefined){
vErrors = fail(vErrors, instancePath, "required", {missingProperty: "defaultAction"});
}
if(data.defaultAction !== undefined){
if(!(validate75(data.defaultAction, instancePath+"/defaultAction"))){
vErrors = vErrors === null ? validate75.errors : vErrors.concat(validate75.errors);
}
}
if(data.defaultErrnoRet !== undefined){
let data1 = data.defaultErrnoRet;
if(!Number.isInteger(data1) || data1 < 0 || data1 > 4294967295){
vErrors = fail(vErrors, instancePath+"/defaultErrnoRet", "integer", {format: "uint32"});
}
}
if(data.architectures !== undefined){
let data2 = data.architectures;
if(Array.isArray(data2)){
const len0 = data2.length;
for(let i0=0; i0<len0; i0++){
let data3 = data2[i0];
if(data3 !== "SCMP_ARCH_X86_64" && data3 !== "SCMP_ARCH_X86" && data3 !== "SCMP_ARCH_X32" && data3 !== "SCMP_ARCH_AARCH64" && data3 !== "SCMP_ARCH_ARM" && data3 !== "SCMP_ARCH_LOONGARCH64" && data3 !== "SCMP_ARCH_M68K" && data3 !== "SCMP_ARCH_MIPS" && data3 !== "SCMP_ARCH_MIPS64" && data3 !== "SCMP_ARCH_MIPS64N32" && data3 !== "SCMP_ARCH_MIPSEL" && data3 !== "SCMP_ARCH_MIPSEL64" && data3 !== "SCMP_ARCH_MIPSEL64N32" && data3 !== "SCMP_ARCH_PARISC" && data3 !== "SCMP_ARCH_PARISC64" && data3 !== "SCMP_ARCH_PPC" && data3 !== "SCMP_ARCH_PPC64" && data3 !== "SCMP_ARCH_PPC64LE" && data3 !== "SCMP_ARCH_RISCV64" && data3 !== "SCMP_ARCH_S390" && data3 !== "SCMP_ARCH_S390X" && data3 !== "SCMP_ARCH_SH" && data3 !== "SCMP_ARCH_SHEB"){
vErrors = fail(vErrors, instancePath+"/architectures/" + i0, "choice", {allowed: "SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_X32, SCMP_ARCH_AARCH64, SCMP_ARCH_ARM, SCMP_ARCH_LOONGARCH64, SCMP_ARCH_M68K, SCMP_ARCH_MIPS, SCMP_ARCH_MIPS64, SCMP_ARCH_MIPS64N32, SCMP_ARCH_MIPSEL, SCMP_ARCH_MIPSEL64, SCMP_ARCH_MIPSEL64N32, SCMP_ARCH_PARISC, SCMP_ARCH_PARISC64, SCMP_ARCH_PPC, SCMP_ARCH_PPC64, SCMP_ARCH_PPC64LE, SCMP_ARCH_RISCV64, SCMP_ARCH_S390, SCMP_ARCH_S390X, SCMP_ARCH_SH, SCMP_ARCH_SHEB"});
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/architectures", "type", {type: "array"});
}
}
if(data.flags !== undefined){
let data4 = data.flags;
if(Array.isArray(data4)){
const len1 = data4.length;
for(let i1=0; i1<len1; i1++){
let data5 = data4[i1];
if(data5 !== "SECCOMP_FILTER_FLAG_TSYNC" && data5 !== "SECCOMP_FILTER_FLAG_LOG" && data5 !== "SECCOMP_FILTER_FLAG_SPEC_ALLOW" && data5 !== "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"){
vErrors = fail(vErrors, instancePath+"/flags/" + i1, "choice", {allowed: "SECCOMP_FILTER_FLAG_TSYNC, SECCOMP_FILTER_FLAG_LOG, SECCOMP_FILTER_FLAG_SPEC_ALLOW, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"});
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/flags", "type", {type: "array"});
}
}
if(data.listenerPath !== undefined){
let data6 = data.listenerPath;
if(typeof data6 === "string"){
if(!pattern8.test(data6)){
vErrors = fail(vErrors, instancePath+"/listenerPath", "pattern", {pattern: "^(?:/|$)"});
}
}
else {
vErrors = fail(vErrors, instancePath+"/listenerPath", "type", {type: "string"});
}
}
if(data.listenerMetadata !== undefined){
if(typeof data.listenerMetadata !== "string"){
vErrors = fail(vErrors, instancePath+"/listenerMetadata", "type", {type: "string"});
}
}
if(data.syscalls !== undefined){
let data8 = data.syscalls;
if(Array.isArray(data8)){
const len2 = data8.length;
for(let i2=0; i2<len2; i2++){
let data9 = data8[i2];
if(data9 && typeof data9 == "object" && !Array.isArray(data9)){
if(data9.names === undefined){
vErrors = fail(vErrors, instancePath+"/syscalls/" + i2, "required", {missingProperty: "names"});
}
if(data9.action === undefined){
vErrors = fail(vErrors, instancePath+"/syscalls/" + i2, "required", {missingProperty: "action"});
}
if(data9.names !== undefined){
let data10 = data9.names;
if(Array.isArray(data10)){
const len3 = data10.length;
for(let i3=0; i3<len3; i3++){
if(typeof data10[i3] !== "string"){
vErrors = fail(vErrors, instancePath+"/syscalls/" + i2+"/names/" + i3, "type", {type: "string"});
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/syscalls/" + i2+"/names", "type", {type: "array"});
}
}
if(data9.action !== undefined){
if(!(validate75(data9.action, instancePath+"/syscalls/" + i2+"/action"))){
vErrors = vErrors === null ? validate75.errors : vErrors.concat(validate75.errors);
}
}
if(data9.errnoRet !== undefined){
let data13 = data9.errnoRet;
if(!Number.isInteger(data13) || data13 < 0 || data13 > 4294967295){
vErrors = fail(vErrors, instancePath+"/syscalls/" + i2+"/errnoRet", "integer", {format: "uint32"});
}
}
if(data9.args !== undefined){
let data14 = data9.args;
if(Array.isArray(data14)){
const len4 = data14.length;
for(let i4=0; i4<len4; i4++){
if(!(validate78(data14[i4], instancePath+"/syscalls/" + i2+"/args/" + i4))){
vErrors = vErrors === null ? validate78.errors : vErrors.concat(validate78.errors);
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/syscalls/" + i2+"/args", "type", {type: "array"});
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/syscalls/" + i2, "type", {type: "object"});
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/syscalls", "type", {type: "array"});
}
}
}
else {
vErrors = fail(vErrors, instancePath, "type", {type: "object"});
}
validate74.errors = vErrors;
return vErrors === null;
}


function validate81(data, instancePath = ""){
let vErrors = null;
if(Array.isArray(data)){
const len0 = data.length;
for(let i0=0; i0<len0; i0++){
let data0 = data[i0];
if(typeof data0 === "string"){
if(!pattern2.test(data0)){
vErrors = fail(vErrors, instancePath+"/" + i0, "pattern", {pattern: "^/"});
}
}
else {
vErrors = fail(vErrors, instancePath+"/" + i0, "type", {type: "string"});
}
}
}
else {
vErrors = fail(vErrors, instancePath, "type", {type: "array"});
}
validate81.errors = vErrors;
return vErrors === null;
}


function validate57(data, instancePath = ""){
let vErrors = null;
if(data && typeof data == "object" && !Array.isArray(data)){
if(data.namespaces !== undefined){
let data0 = data.namespaces;
if(Array.isArray(data0)){
const len0 = data0.length;
for(let i0=0; i0<len0; i0++){
let data1 = data0[i0];
if(data1 && typeof data1 == "object" && !Array.isArray(data1)){
if(data1.type === undefined){
vErrors = fail(vErrors, instancePath+"/namespaces/" + i0, "required", {missingProperty: "type"});
}
if(data1.type !== undefined){
let data2 = data1.type;
if(data2 !== "cgroup" && data2 !== "ipc" && data2 !== "mount" && data2 !== "network" && data2 !== "pid" && data2 !== "time" && data2 !== "user" && data2 !== "uts"){
vErrors = fail(vErrors, instancePath+"/namespaces/" + i0+"/type", "choice", {allowed: "cgroup, ipc, mount, network, pid, time, user, uts"});
}
}
if(data1.path !== undefined){
let data3 = data1.path;
if(typeof data3 === "string"){
if(!pattern8.test(data3)){
vErrors = fail(vErrors, instancePath+"/namespaces/" + i0+"/path", "pattern", {pattern: "^(?:/|$)"});
}
}
else {
vErrors = fail(vErrors, instancePath+"/namespaces/" + i0+"/path", "type", {type: "string"});
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/namespaces/" + i0, "type", {type: "object"});
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/namespaces", "type", {type: "array"});
}
}
if(data.uidMappings !== undefined){
if(!(validate36(data.uidMappings, instancePath+"/uidMappings"))){
vErrors = vErrors === null ? validate36.errors : vErrors.concat(validate36.errors);
}
}
if(data.gidMappings !== undefined){
if(!(validate36(data.gidMappings, instancePath+"/gidMappings"))){
vErrors = vErrors === null ? validate36.errors : vErrors.concat(validate36.errors);
}
}
if(data.timeOffsets !== undefined){
let data6 = data.timeOffsets;
if(data6 && typeof data6 == "object" && !Array.isArray(data6)){
if(data6.boottime !== undefined){
if(!(validate60(data6.boottime, instancePath+"/timeOffsets/boottime"))){
vErrors = vErrors === null ? validate60.errors : vErrors.concat(validate60.errors);
}
}
if(data6.monotonic !== undefined){
if(!(validate60(data6.monotonic, instancePath+"/timeOffsets/monotonic"))){
vErrors = vErrors === null ? validate60.errors : vErrors.concat(validate60.errors);
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/timeOffsets", "type", {type: "object"});
}
}
if(data.devices !== undefined){
let data9 = data.devices;
if(Array.isArray(data9)){
const len1 = data9.length;
for(let i1=0; i1<len1; i1++){
if(!(validate63(data9[i1], instancePath+"/devices/" + i1))){
vErrors = vErrors === null ? validate63.errors : vErrors.concat(validate63.errors);
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/devices", "type", {type: "array"});
}
}
if(data.netDevices !== undefined){
let data11 = data.netDevices;
if(data11 && typeof data11 == "object" && !Array.isArray(data11)){
for(const key0 in data11){
let data12 = data11[key0];
if(data12 && typeof data12 == "object" && !Array.isArray(data12)){
if(data12.name !== undefined){
if(typeof data12.name !== "string"){
vErrors = fail(vErrors, instancePath+"/netDevices/" + key0.replace(/~/g, "~0").replace(/\//g, "~1")+"/name", "type", {type: "string"});
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/netDevices/" + key0.replace(/~/g, "~0").replace(/\//g, "~1"), "type", {type: "object"});
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/netDevices", "type", {type: "object"});
}
}
if(data.cgroupsPath !== undefined){
if(typeof data.cgroupsPath !== "string"){
vErrors = fail(vErrors, instancePath+"/cgroupsPath", "type", {type: "string"});
}
}
if(data.resources !== undefined){
if(!(validate65(data.resources, instancePath+"/resources"))){
vErrors = vErrors === null ? validate65.errors : vErrors.concat(validate65.errors);
}
}
if(data.intelRdt !== undefined){
let data16 = data.intelRdt;
if(data16 && typeof data16 == "object" && !Array.isArray(data16)){
if(data16.closID !== undefined){
let data17 = data16.closID;
if(typeof data17 === "string"){
if(!pattern12.test(data17)){
vErrors = fail(vErrors, instancePath+"/intelRdt/closID", "pattern", {pattern: "^(?!\\.\\.?$)(?:/|[^/\\n]*)$"});
}
}
else {
vErrors = fail(vErrors, instancePath+"/intelRdt/closID", "type", {type: "string"});
}
}
if(data16.schemata !== undefined){
let data18 = data16.schemata;
if(Array.isArray(data18)){
const len2 = data18.length;
for(let i2=0; i2<len2; i2++){
let data19 = data18[i2];
if(typeof data19 === "string"){
if(!pattern13.test(data19)){
vErrors = fail(vErrors, instancePath+"/intelRdt/schemata/" + i2, "pattern", {pattern: "^[^\\n]*$"});
}
}
else {
vErrors = fail(vErrors, instancePath+"/intelRdt/schemata/" + i2, "type", {type: "string"});
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/intelRdt/schemata", "type", {type: "array"});
}
}
if(data16.l3CacheSchema !== undefined){
if(typeof data16.l3CacheSchema !== "string"){
vErrors = fail(vErrors, instancePath+"/intelRdt/l3CacheSchema", "type", {type: "string"});
}
}
if(data16.memBwSchema !== undefined){
let data21 = data16.memBwSchema;
if(typeof data21 === "string"){
if(!pattern14.test(data21)){
vErrors = fail(vErrors, instancePath+"/intelRdt/memBwSchema", "pattern", {pattern: "^(?:MB:[^\\n]*)?$"});
}
}
else {
vErrors = fail(vErrors, instancePath+"/intelRdt/memBwSchema", "type", {type: "string"});
}
}
if(data16.enableMonitoring !== undefined){
if(typeof data16.enableMonitoring !== "boolean"){
vErrors = fail(vErrors, instancePath+"/intelRdt/enableMonitoring", "type", {type: "boolean"});
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/intelRdt", "type", {type: "object"});
}
}
if(data.memoryPolicy !== undefined){
let data23 = data.memoryPolicy;
if(data23 && typeof data23 == "object" && !Array.isArray(data23)){
if(data23.mode === undefined){
vErrors = fail(vErrors, instancePath+"/memoryPolicy", "required", {missingProperty: "mode"});
}
if(data23.mode !== undefined){
let data24 = data23.mode;
if(data24 !== "MPOL_DEFAULT" && data24 !== "MPOL_BIND" && data24 !== "MPOL_INTERLEAVE" && data24 !== "MPOL_WEIGHTED_INTERLEAVE" && data24 !== "MPOL_PREFERRED" && data24 !== "MPOL_PREFERRED_MANY" && data24 !== "MPOL_LOCAL"){
vErrors = fail(vErrors, instancePath+"/memoryPolicy/mode", "choice", {allowed: "MPOL_DEFAULT, MPOL_BIND, MPOL_INTERLEAVE, MPOL_WEIGHTED_INTERLEAVE, MPOL_PREFERRED, MPOL_PREFERRED_MANY, MPOL_LOCAL"});
}
}
if(data23.nodes !== undefined){
let data25 = data23.nodes;
if(typeof data25 === "string"){
if(!pattern4.test(data25)){
vErrors = fail(vErrors, instancePath+"/memoryPolicy/nodes", "pattern", {pattern: "^[0-9, -]*$"});
}
}
else {
vErrors = fail(vErrors, instancePath+"/memoryPolicy/nodes", "type", {type: "string"});
}
}
if(data23.flags !== undefined){
let data26 = data23.flags;
if(Array.isArray(data26)){
const len3 = data26.length;
for(let i3=0; i3<len3; i3++){
let data27 = data26[i3];
if(data27 !== "MPOL_F_NUMA_BALANCING" && data27 !== "MPOL_F_RELATIVE_NODES" && data27 !== "MPOL_F_STATIC_NODES"){
vErrors = fail(vErrors, instancePath+"/memoryPolicy/flags/" + i3, "choice", {allowed: "MPOL_F_NUMA_BALANCING, MPOL_F_RELATIVE_NODES, MPOL_F_STATIC_NODES"});
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/memoryPolicy/flags", "type", {type: "array"});
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/memoryPolicy", "type", {type: "object"});
}
}
if(data.sysctl !== undefined){
if(!(validate55(data.sysctl, instancePath+"/sysctl"))){
vErrors = vErrors === null ? validate55.errors : vErrors.concat(validate55.errors);
}
}
if(data.seccomp !== undefined){
if(!(validate74(data.seccomp, instancePath+"/seccomp"))){
vErrors = vErrors === null ? validate74.errors : vErrors.concat(validate74.errors);
}
}
if(data.rootfsPropagation !== undefined){
let data30 = data.rootfsPropagation;
if(data30 !== "" && data30 !== "private" && data30 !== "rprivate" && data30 !== "shared" && data30 !== "rshared" && data30 !== "slave" && data30 !== "rslave" && data30 !== "unbindable" && data30 !== "runbindable"){
vErrors = fail(vErrors, instancePath+"/rootfsPropagation", "choice", {allowed: "private, rprivate, shared, rshared, slave, rslave, unbindable, runbindable"});
}
}
if(data.maskedPaths !== undefined){
if(!(validate81(data.maskedPaths, instancePath+"/maskedPaths"))){
vErrors = vErrors === null ? validate81.errors : vErrors.concat(validate81.errors);
}
}
if(data.readonlyPaths !== undefined){
if(!(validate81(data.readonlyPaths, instancePath+"/readonlyPaths"))){
vErrors = vErrors === null ? validate81.errors : vErrors.concat(validate81.errors);
}
}
if(data.mountLabel !== undefined){
if(typeof data.mountLabel !== "string"){
vErrors = fail(vErrors, instancePath+"/mountLabel", "type", {type: "string"});
}
}
if(data.personality !== undefined){
let data34 = data.personality;
if(data34 && typeof data34 == "object" && !Array.isArray(data34)){
if(data34.domain === undefined){
vErrors = fail(vErrors, instancePath+"/personality", "required", {missingProperty: "domain"});
}
if(data34.domain !== undefined){
let data35 = data34.domain;
if(data35 !== "LINUX" && data35 !== "LINUX32"){
vErrors = fail(vErrors, instancePath+"/personality/domain", "choice", {allowed: "LINUX, LINUX32"});
}
}
if(data34.flags !== undefined){
if(!(validate27(data34.flags, instancePath+"/personality/flags"))){
vErrors = vErrors === null ? validate27.errors : vErrors.concat(validate27.errors);
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/personality", "type", {type: "object"});
}
}
}
else {
vErrors = fail(vErrors, instancePath, "type", {type: "object"});
}
validate57.errors = vErrors;
return vErrors === null;
}


function validate21(data, instancePath = ""){
/*# sourceURL="config" */;
let vErrors = null;
if(data && typeof data == "object" && !Array.isArray(data)){
if(data.ociVersion === undefined){
vErrors = fail(vErrors, instancePath, "required", {missingProperty: "ociVersion"});
}
if(data.root === undefined){
vErrors = fail(vErrors, instancePath, "required", {missingProperty: "root"});
}
if(data.ociVersion !== undefined){
let data0 = data.ociVersion;
if(typeof data0 === "string"){
if(!pattern0.test(data0)){
vErrors = fail(vErrors, instancePath+"/ociVersion", "pattern", {pattern: "^(?:0|[1-9]\\d*)\\.(?:0|[1-9]\\d*)\\.(?:0|[1-9]\\d*)(?:-[0-9A-Za-z-]+(?:\\.[0-9A-Za-z-]+)*)?(?:\\+[0-9A-Za-z-]+(?:\\.[0-9A-Za-z-]+)*)?$"});
}
}
else {
vErrors = fail(vErrors, instancePath+"/ociVersion", "type", {type: "string"});
}
}
if(data.root !== undefined){
if(!(validate22(data.root, instancePath+"/root"))){
vErrors = vErrors === null ? validate22.errors : vErrors.concat(validate22.errors);
}
}
if(data.process !== undefined){
if(!(validate24(data.process, instancePath+"/process"))){
vErrors = vErrors === null ? validate24.errors : vErrors.concat(validate24.errors);
}
}
if(data.hostname !== undefined){
if(typeof data.hostname !== "string"){
vErrors = fail(vErrors, instancePath+"/hostname", "type", {type: "string"});
}
}
if(data.domainname !== undefined){
if(typeof data.domainname !== "string"){
vErrors = fail(vErrors, instancePath+"/domainname", "type", {type: "string"});
}
}
if(data.mounts !== undefined){
let data5 = data.mounts;
if(Array.isArray(data5)){
const len0 = data5.length;
for(let i0=0; i0<len0; i0++){
if(!(validate34(data5[i0], instancePath+"/mounts/" + i0))){
vErrors = vErrors === null ? validate34.errors : vErrors.concat(validate34.errors);
}
}
}
else {
vErrors = fail(vErrors, instancePath+"/mounts", "type", {type: "array"});
}
}
if(data.hooks !== undefined){
if(!(validate42(data.hooks, instancePath+"/hooks"))){
vErrors = vErrors === null ? validate42.errors : vErrors.concat(validate42.errors);
}
}
if(data.annotations !== undefined){
if(!(validate55(data.annotations, instancePath+"/annotations"))){
vErrors = vErrors === null ? validate55.errors : vErrors.concat(validate55.errors);
}
}
if(data.linux !== undefined){
if(!(validate57(data.linux, instancePath+"/linux"))){
vErrors = vErrors === null ? validate57.errors : vErrors.concat(validate57.errors);
}
}
}
else {
vErrors = fail(vErrors, instancePath, "type", {type: "object"});
}
validate21.errors = vErrors;
return vErrors === null;
}

export const validateProcess = validate24;

export const validateResources = validate65;


function fail(errors, instancePath, keyword, params) {
  const error = { instancePath, keyword, params };
  if (errors === null) return [error];
  errors.push(error);
  return errors;
}
