/** What is needed of the platform's `fetch`; a test gives one that trusts its own certificate. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** Where and how a key set is fetched. */
export interface JwksLocation {
  /** https, without credentials: that is checked where it is configured. */
  readonly url: URL;
  /** Default: the platform's. */
  readonly fetch?: Fetch | undefined;
  /** From the request to the last byte of the answer. Default: 5 s. */
  readonly timeoutMs?: number | undefined;
}

export type FetchedText =
  | { readonly kind: "text"; readonly text: string }
  /** `why` is for the operator; it repeats nothing of the answer. */
  | { readonly kind: "failed"; readonly why: string };

export const defaultTimeoutMs = 5_000;
/** Sets of large issuers have some 10 KiB, certificates included. */
const maxBytes = 64 * 1024;

const failed = (why: string): FetchedText => ({ kind: "failed", why });

/**
 * Asks for a key set once. The answer is bounded in time and, as it comes, in size after decompression. A redirect is
 * not followed: the keys are those of the configured address, and nobody else can have the relay ask a private one. Its
 * media type is not looked at: many issuers serve files, as text or as octets.
 */
export async function fetchJwks({ url, fetch: ask = fetch, timeoutMs = defaultTimeoutMs }: JwksLocation) {
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const headers = { accept: "application/jwk-set+json, application/json", "accept-encoding": "identity" };
    const response = await ask(url.href, { headers, redirect: "manual", signal });
    if (response.status !== 200) {
      await response.body?.cancel();
      return failed(describeStatus(response));
    }
    return await readText(response);
  } catch (error) {
    return failed(signal.aborted ? `no whole answer came within ${timeoutMs} ms` : describeError(error));
  }
}

/** Some platforms show a redirect that was not followed as status 0. */
function describeStatus({ status, type }: { readonly status: number; readonly type: string }): string {
  const isRedirect = type === "opaqueredirect" || (status >= 300 && status < 400);
  return isRedirect
    ? "it redirects, and no redirect is followed: give the address it leads to"
    : `it answered ${status}`;
}

async function readText({ body }: Response): Promise<FetchedText> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  // Leaving the loop cancels the body.
  for await (const chunk of body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) return failed(`its answer is larger than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  const whole = await new Blob(chunks).arrayBuffer();
  try {
    return { kind: "text", text: new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(whole) };
  } catch {
    return failed("its answer is not UTF-8");
  }
}

/** Node has the system's name of the error in the cause. Messages quote addresses, and are left out. */
function describeError(error: unknown): string {
  const codes = [error, error instanceof Error ? error.cause : undefined].map(codeOf);
  const code = codes.find((one) => one !== undefined);
  return code === undefined ? "the connection failed" : `the connection failed (${code})`;
}

function codeOf(error: unknown): string | undefined {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" && /^[A-Za-z0-9_]{1,64}$/.test(code) ? code : undefined;
}
