import { Code, type ConnectError } from "@connectrpc/connect";
import { BatonError } from "../../session/reasons.ts";

/** connect-es calls a binary message that it cannot read an internal error, and a missing one unimplemented. */
const malformed = /^(?:parse binary|received compressed envelope|protocol error)\b/;

/** What connect-es found wrong with a request, in our words, which quote nothing of it. */
export function requestErrorFrom({ code, rawMessage }: ConnectError, streamId: string): BatonError {
  if (code === Code.InvalidArgument || malformed.test(rawMessage)) {
    return new BatonError("MALFORMED", "the request cannot be read as a call of this method");
  }
  switch (code) {
    case Code.ResourceExhausted:
      return new BatonError("MESSAGE_TOO_LARGE");
    case Code.DeadlineExceeded:
      return new BatonError("DEADLINE");
    case Code.Unimplemented:
      return new BatonError("PROTOCOL_UNSUPPORTED", "unknown compression; supported encodings: identity");
    default:
      return new BatonError("INTERNAL", `internal error; stream ${streamId}`);
  }
}
