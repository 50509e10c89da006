/**
 * `baton/client`: a participant of a session, in a program or in a browser.
 *
 * A `SessionClient` is what a participant knows: texts, comments, who is there, what is not acked yet. It is pure. A
 * `SessionConnection` keeps it on a relay: it opens streams, resumes them, renews tokens. A carriage is how: over one
 * stream both ways (`bidiCarriage`), over a WebSocket (`socketCarriage`), or, where the network allows neither, over a
 * stream down and calls up (`splitCarriage`). `chooseCarriage` takes the first that works.
 *
 * @module
 */
export type { Carriage } from "../client/carriage.ts";
export { bidiCarriage } from "../client/carriage-bidi.ts";
export {
  type CarriageMemory,
  type ChoiceOptions,
  chooseCarriage,
  type NamedCarriage,
} from "../client/carriage-choice.ts";
export { type SocketAddress, type SocketCarriageOptions, socketCarriage } from "../client/carriage-socket.ts";
export { splitCarriage } from "../client/carriage-split.ts";
export { readTail, type TailOptions } from "../client/read-tail.ts";
export {
  type ConnectionOptions,
  type Interruption,
  SessionConnection,
  type Stop,
  type TokenNeed,
  type TokenSource,
} from "../client/session-connection.ts";
export { type ClientOptions, type NewComment, SessionClient } from "../session/client/client.ts";
export type { ClientEvent } from "../session/client/effects.ts";
