import type { Row } from "../row.ts";
import { converge } from "./converge.ts";
import { deadline } from "./deadline.ts";
import { drain } from "./drain.ts";
import { edit } from "./edit.ts";
import { expiry } from "./expiry.ts";
import { firstMessage } from "./first-message.ts";
import { halfClose } from "./half-close.ts";
import { halfDuplex } from "./half-duplex.ts";
import { join } from "./join.ts";
import { kill } from "./kill.ts";
import { lateJoin } from "./late-join.ts";
import { malformed } from "./malformed.ts";
import { names } from "./names.ts";
import { origins } from "./origins.ts";
import { paths } from "./paths.ts";
import { presence } from "./presence.ts";
import { rate } from "./rate.ts";
import { resume } from "./resume.ts";
import { resumeAfterTrim } from "./resume-after-trim.ts";
import { revocation } from "./revocation.ts";
import { rotation } from "./rotation.ts";
import { slowReader } from "./slow-reader.ts";
import { supersession } from "./supersession.ts";
import { tokens } from "./tokens.ts";
import { tooLarge } from "./too-large.ts";
import { unacked } from "./unacked.ts";
import { vanishedFin, vanishedReset, vanishedSilently } from "./vanished.ts";

/** In the table's order. */
export const rows: readonly Row[] = [
  join,
  edit,
  converge,
  lateJoin,
  resume,
  resumeAfterTrim,
  rotation,
  expiry,
  revocation,
  slowReader,
  tooLarge,
  rate,
  unacked,
  names,
  firstMessage,
  deadline,
  supersession,
  presence,
  halfClose,
  vanishedFin,
  vanishedReset,
  vanishedSilently,
  tokens,
  malformed,
  paths,
  origins,
  halfDuplex,
  drain,
  kill,
];
