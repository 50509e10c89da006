import type { Compression, UniversalServerResponse } from "@connectrpc/connect/protocol";
import {
  headerStreamAcceptEncoding,
  headerStreamEncoding,
  headerUnaryAcceptEncoding,
} from "@connectrpc/connect/protocol-connect";
import { headerAcceptEncoding, headerEncoding } from "@connectrpc/connect/protocol-grpc-web";
import { BatonError } from "../../session/reasons.ts";
import { acceptedEncodings, gunzip } from "./compression.ts";
import { connectErrorFrom } from "./errors.ts";

/** For connect-es: requests may be compressed, answers are not. */
export const compressionOptions = {
  acceptCompression: [
    {
      name: "gzip",
      async decompress(bytes, maxMessageBytes) {
        try {
          return await gunzip(bytes, maxMessageBytes);
        } catch (error) {
          throw error instanceof BatonError ? connectErrorFrom(error) : error;
        }
      },
      compress: () => Promise.reject(new Error("no answer is as large as that")),
    } satisfies Compression,
  ],
  /** The largest that connect-es takes. */
  compressMinBytes: 0xffff_ffff,
};

/** connect-es tells an encoding for answers that are not compressed, and which ones it takes only where it refuses one. */
export function tellEncodings(response: UniversalServerResponse): UniversalServerResponse {
  const header = new Headers(response.header);
  header.delete(headerEncoding);
  header.delete(headerStreamEncoding);
  header.set(acceptHeaderFor(header.get("content-type") ?? ""), acceptedEncodings);
  return { ...response, header };
}

function acceptHeaderFor(contentType: string): string {
  if (contentType.startsWith("application/grpc")) return headerAcceptEncoding;
  return contentType.startsWith("application/connect") ? headerStreamAcceptEncoding : headerUnaryAcceptEncoding;
}
