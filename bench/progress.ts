import process from "node:process";

/** Says what is being done, in one line of a terminal; where there is none, nothing: who reads a file wants the table. */
export function progress(says: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${says}`);
}
