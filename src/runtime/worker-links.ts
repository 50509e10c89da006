import { AsyncLocalStorage } from "node:async_hooks";
import type { LocationHint } from "../durable/location-hint.ts";
import type { DirectoryRpc } from "../durable/log-objects.ts";
import { type Answer, ask, askAgain, unanswered } from "../durable/object-answer.ts";
import type { Link, LinkListener, SessionObjects } from "../relay/edge/gateway.ts";
import { parseReplicaName } from "../relay/edge/tree/replica-name.ts";
import type { Disconnected } from "../relay/end-streams.ts";
import type { Revocation } from "../session/revocation.ts";

/** What a session's object answers to besides its log's calls. */
export interface SessionCalls {
  publish(call: Uint8Array): Promise<Answer<Uint8Array>>;
  describeSession(sessionId: string): Promise<Answer<Uint8Array | undefined>>;
  countStreams(): Promise<Answer<number>>;
  disconnect(meant: Disconnected): Promise<Answer<number>>;
  endRevoked(revocation: Revocation): Promise<Answer<number>>;
}

/** An object that takes links. */
interface Linked {
  fetch(url: string, init: RequestInit): Promise<Response>;
}

/** Finds objects. Each call makes a new stub, since one that failed once fails for good. */
export interface FindObjects {
  session(sessionId: string, hint: LocationHint | undefined): SessionCalls & Linked;
  replica(name: string): Linked;
}

/** Of the request that is being served. */
export const requestPlace = new AsyncLocalStorage<{
  /** Where an object that is not there yet should be made. */
  readonly hint: LocationHint | undefined;
  /** Has work done although the request is over. */
  readonly background: (work: Promise<unknown>) => void;
}>();

/** The sessions' objects by their namespace, and by the directory that has their names. */
export function sessionObjects(find: FindObjects, directory: () => Pick<DirectoryRpc, "names">): SessionObjects {
  const object = (sessionId: string) => find.session(sessionId, requestPlace.getStore()?.hint);
  const isReplica = (name: string) => parseReplicaName(name) !== undefined;
  return {
    region: () => requestPlace.getStore()?.hint ?? "",
    async open(name, listener) {
      try {
        const linked = isReplica(name) ? find.replica(name) : object(name);
        const { webSocket } = await linked.fetch("https://session/", { headers: { upgrade: "websocket" } });
        if (!webSocket) throw new Error("the object took no link");
        return openLink(webSocket, listener);
      } catch (cause) {
        throw unanswered(cause);
      }
    },
    publish: (sessionId, call) => ask(() => object(sessionId).publish(call)),
    names: (after, limit) => askAgain(async () => directory().names("", after, limit)),
    describe: (sessionId) => askAgain(() => object(sessionId).describeSession(sessionId)),
    countStreams: (sessionId) => askAgain(() => object(sessionId).countStreams()),
    endRevoked: (sessionId, revocation) => ask(() => object(sessionId).endRevoked(revocation)),
    disconnect: (meant) => ask(() => object(meant.sessionId).disconnect(meant)),
  };
}

function openLink(socket: WebSocket, listener: LinkListener): Link {
  let isOpen = true;
  const over = () => {
    if (!isOpen) return;
    isOpen = false;
    listener.closed();
  };
  socket.binaryType = "arraybuffer";
  socket.addEventListener("message", ({ data }) => {
    if (isOpen && data instanceof ArrayBuffer) listener.message(new Uint8Array(data));
  });
  socket.addEventListener("close", over);
  socket.addEventListener("error", over);
  socket.accept();
  return {
    send(message) {
      if (!isOpen) return;
      try {
        socket.send(message);
      } catch {
        over();
      }
    },
    close() {
      if (!isOpen) return;
      isOpen = false;
      try {
        socket.close(1000);
      } catch {
        // The other side was first.
      }
    },
  };
}
