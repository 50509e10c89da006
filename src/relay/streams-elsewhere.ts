import type { Principal } from "../auth/principal.ts";
import { isScope } from "../auth/scopes.ts";
import type { BusToken, HeardMessage } from "../durable/session-bus.ts";
import { clientKey } from "../session/state.ts";
import type { RelayContext } from "./context.ts";
import type { Identity } from "./payload.ts";

/** How often the instance that holds a stream is told that its client was heard: it has 150 s. */
const heardMs = 5_000;

interface StreamElsewhere {
  /** The claim that is known of. */
  readonly generation: number;
  /** In force for the stream, as far as it was told. */
  readonly token: Principal | undefined;
  /** When its holder was last told that its client was heard, and with a token of when; ms since the Unix epoch. */
  readonly toldAtMs: number;
  readonly toldIssuedAtMs: number;
  readonly knownAtMs: number;
}

/** Clients that speak here, and whose streams are on other instances. */
export class StreamsElsewhere {
  readonly #context: RelayContext;
  readonly #sessionId: string;
  readonly #streams = new Map<string, StreamElsewhere>();

  constructor(context: RelayContext, sessionId: string) {
    this.#context = context;
    this.#sessionId = sessionId;
  }

  /** What is in force for a client's stream, where it was told that this changed. */
  tokenOf(key: string, generation: number): Principal | undefined {
    const stream = this.#streams.get(key);
    return stream?.generation === generation ? stream.token : undefined;
  }

  /** A token is in force for a client's stream from now on. */
  renewed(key: string, generation: number, token: Principal): void {
    const known = this.#streams.get(key);
    if (known !== undefined && known.generation > generation) return;
    const told = known?.generation === generation ? known : { toldAtMs: Number.NEGATIVE_INFINITY, toldIssuedAtMs: 0 };
    this.#put(key, { ...told, generation, token });
  }

  /** Says so to the others. */
  tellRenewed({ userId, clientId }: Omit<Identity, "sessionId">, generation: number, token: Principal): void {
    const client = { userId, clientId };
    this.#context.bus.publish(this.#sessionId, { kind: "renewed", client, generation, token: busToken(token) });
  }

  /** A call of a client came here: whoever holds its stream is told, at once where `isUrgent`, and else now and then. */
  heard(
    identity: Omit<Identity, "sessionId">,
    generation: number,
    token: Principal,
    { isInput, isUrgent }: { readonly isInput: boolean; readonly isUrgent: boolean },
  ): void {
    const nowMs = this.#context.now();
    const known = this.#streams.get(identity.key);
    const isKnown = known?.generation === generation;
    const isDue = !isKnown || Math.abs(nowMs - known.toldAtMs) >= heardMs || token.issuedAtMs > known.toldIssuedAtMs;
    if (!isDue && !isUrgent) return;
    const inForce = isKnown ? known.token : undefined;
    this.#put(identity.key, { generation, token: inForce, toldAtMs: nowMs, toldIssuedAtMs: token.issuedAtMs });
    this.tellHeard(identity, generation, { token: busToken(token), isInput });
  }

  /** Tells whoever holds a client's stream what it said. */
  tellHeard(
    { userId, clientId }: Omit<Identity, "sessionId">,
    generation: number,
    { token, isInput, says }: Partial<Pick<HeardMessage, "token" | "isInput" | "says">>,
  ): void {
    const said = { token, isInput: isInput ?? false, says };
    const client = { userId, clientId };
    this.#context.bus.publish(this.#sessionId, { kind: "heard", client, generation, ...said });
  }

  /** Forgets those that cannot live any more. */
  forget(nowMs: number): void {
    const { streamAgeMs } = this.#context.limits;
    for (const [key, { knownAtMs }] of this.#streams) {
      if (Math.abs(nowMs - knownAtMs) <= streamAgeMs) break;
      this.#streams.delete(key);
    }
  }

  /** The last one that something is known of comes last. */
  #put(key: string, stream: Omit<StreamElsewhere, "knownAtMs">): void {
    this.#streams.delete(key);
    this.#streams.set(key, { ...stream, knownAtMs: this.#context.now() });
  }
}

export function busToken({ scopes, sessions, userId, issuedAtMs, expiresAtMs, tokenId }: Principal): BusToken {
  return { userId, scopes: [...scopes], sessions: [...sessions], issuedAtMs, expiresAtMs, tokenId };
}

/** What another instance has verified. */
export function principalOf({ scopes, sessions, userId, issuedAtMs, expiresAtMs, tokenId }: BusToken): Principal {
  return { userId, scopes: new Set(scopes.filter(isScope)), sessions, issuedAtMs, expiresAtMs, tokenId };
}

export const keyOfClient = ({ client }: Pick<HeardMessage, "client">) => clientKey(client.userId, client.clientId);
