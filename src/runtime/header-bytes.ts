/** The size of a header list as HTTP/2 counts it (RFC 9113, 6.5.2). */
export function headerListBytes(headers: Iterable<readonly [string, string | readonly string[] | undefined]>): number {
  let bytes = 0;
  for (const [name, value = ""] of headers) bytes += name.length + String(value).length + 32;
  return bytes;
}
