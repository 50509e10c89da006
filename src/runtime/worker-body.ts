import type { BodySource } from "../relay/wire/body.ts";
import { WebBody } from "./web-body.ts";

/** A response body over workerd's streams. */
export const openWorkerBody = (source: BodySource): ReadableStream<Uint8Array> =>
  new ReadableStream(new WebBody(source));
