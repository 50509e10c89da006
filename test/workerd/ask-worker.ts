import { readValue, writeValue } from "./wire-values.ts";

/** Asks the worker of log-worker.ts for something that is not of the log. */
export async function askWorker(
  url: string,
  store: string,
  method: string,
  args: readonly unknown[],
): Promise<unknown> {
  const response = await fetch(`${url}/${store}/${method}`, { method: "POST", body: writeValue(args) });
  const text = await response.text();
  if (!response.ok) throw new Error(`the worker answered ${response.status}: ${text}`);
  return readValue(text);
}
