import { codeFromString } from "@connectrpc/connect/protocol-connect";
import type { BatonError } from "../../session/reasons.ts";
import type { FrameForm } from "../stream.ts";
import type { EncodedEnd } from "./protocol.ts";
import * as protocolConnect from "./protocol-connect.ts";

export const protocolName = "websocket";

/** What is spoken on a WebSocket, by the subprotocol that the client offers and the server selects. */
const forms = { "baton.v1": "binary", "baton.v1.json": "json" } as const satisfies Readonly<Record<string, FrameForm>>;
export type Subprotocol = keyof typeof forms;

export const subprotocols = Object.keys(forms).filter(isSubprotocol);

export const formOf = (subprotocol: Subprotocol): "binary" | "json" => forms[subprotocol];

/** The first offered one that is served; undefined: none is. */
export function selectSubprotocol(offered: string | null): Subprotocol | undefined {
  const names = (offered ?? "").split(",").map((name) => name.trim());
  return names.find(isSubprotocol);
}

/**
 * The last message of a stream that does not end OK, as Connect ends one: in binary an envelope of its own flag, in JSON
 * the text of that, `{"error": ...}`. What ended OK ends by the close frame alone.
 */
export function encodeEnd(error: BatonError | undefined): EncodedEnd {
  return error === undefined ? {} : protocolConnect.encodeEnd(error);
}

/** A close frame's. */
export interface SocketClose {
  readonly code: number;
  readonly reason: string;
}

/** 4000 and on are the application's own (RFC 6455, 7.4.2). */
const firstCode = 4_000;
const normalCode = 1_000;
/** RFC 6455, 5.5: a control frame has at most 125 bytes, two of which are the code. */
const maxReasonBytes = 123;

/** For whoever reads nothing but the close frame: the Connect code's number, and the reason's name before its sentence. */
export function closeOf(error: BatonError | undefined): SocketClose {
  if (error === undefined) return { code: normalCode, reason: "" };
  const code = codeFromString(error.code);
  if (code === undefined) throw new TypeError("a reason has a Connect code");
  return { code: firstCode + code, reason: cut(`${error.reason}: ${error.message}`) };
}

/** As many whole characters as fit. */
function cut(text: string): string {
  const room = new Uint8Array(maxReasonBytes);
  const { read } = new TextEncoder().encodeInto(text, room);
  return text.slice(0, read);
}

function isSubprotocol(name: string): name is Subprotocol {
  return Object.hasOwn(forms, name);
}
