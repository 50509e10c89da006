import {
  type DescMessage,
  fromBinary,
  fromJsonString,
  type MessageShape,
  toBinary,
  toJsonString,
} from "@bufbuild/protobuf";
import { assertNever, BatonError } from "../../session/reasons.ts";
import type { FrameForm } from "../stream.ts";
import { encodeBase64 } from "./base64.ts";

/** A byte of flags, four of length (big-endian), in front of every message of Connect streams, gRPC and gRPC-Web. */
export const envelopeBytes = 5;

/** How deep messages may lie in one another, and brackets in JSON. protobuf-es bounds its own decoding alike. */
const maxDepth = 100;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
const encoder = new TextEncoder();
const binaryOptions = { recursionLimit: maxDepth };
/** Unknown fields are ignored, as binary does: a newer client may say more than this relay knows. */
const jsonOptions = { ignoreUnknownFields: true, recursionLimit: maxDepth };
/** The same, for connect-es, which reads a request's text by a decoder that it is given. */
export const jsonReading = { ...jsonOptions, textDecoder: { decode: (json = new Uint8Array()) => readJson(json) } };

/** One whole frame, ready for any outlet of this form. */
export function encodeFrame<M extends DescMessage>(schema: M, message: MessageShape<M>, form: FrameForm): Uint8Array {
  switch (form) {
    case "binary":
      return envelop(toBinary(schema, message));
    case "json":
      return envelop(encoder.encode(toJsonString(schema, message)));
    case "text":
      return encodeBase64(envelop(toBinary(schema, message)));
    default:
      return assertNever(form);
  }
}

/**
 * A frame around parts of one message. Protobuf encodings behind one another are one message with the fields of all.
 *
 * Not connect-es's `encodeEnvelope`: on JavaScriptCore the DataView by which it writes four bytes costs more than all
 * else that happens here (1.6 us, this 0.08; Bun 1.4.5), because a small array is given a memory of its own for it.
 */
export function envelop(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const frame = new Uint8Array(envelopeBytes + length);
  frame[1] = length >>> 24;
  frame[2] = length >>> 16;
  frame[3] = length >>> 8;
  frame[4] = length;
  let at = envelopeBytes;
  for (const part of parts) {
    frame.set(part, at);
    at += part.length;
  }
  return frame;
}

/** One binary frame, as an outlet of this form takes it. */
export function frameInForm(schema: DescMessage, frame: Uint8Array, form: FrameForm): Uint8Array {
  switch (form) {
    case "binary":
      return frame;
    case "json":
      return encodeFrame(schema, fromBinary(schema, frame.subarray(envelopeBytes), binaryOptions), "json");
    case "text":
      return encodeBase64(frame);
    default:
      return assertNever(form);
  }
}

/**
 * The message in an envelope, out of its base64 in the text form. Throws `MALFORMED`; the text says nothing of the content, and there is no cause, because
 * the decoders' own errors quote it.
 */
export function decodeMessage<M extends DescMessage>(schema: M, data: Uint8Array, form: FrameForm): MessageShape<M> {
  try {
    if (form !== "json") return fromBinary(schema, data, binaryOptions);
    return fromJsonString(schema, readJson(data), jsonOptions);
  } catch {
    const encoding = form === "json" ? "JSON" : "binary";
    throw new BatonError("MALFORMED", `a message cannot be decoded as ${encoding} ${schema.typeName}`);
  }
}

/**
 * A message's JSON as text. Throws where it is no UTF-8, where brackets lie too deep, and where a number is beyond 2^53,
 * which JSON.parse would round in silence (the string form of an int64 is exact).
 *
 * protobuf-es counts the depth of messages only, and looks at all that is nested in fields which it then ignores: 256 KiB
 * of brackets cost 55 ms (Bun 1.4.5). Strings are skipped by bytes: in UTF-8 no part of another character is '"' or '\'.
 */
export function readJson(json: Uint8Array): string {
  let depth = 0;
  let inString = false;
  let numberFrom = -1;
  for (let at = 0; at < json.length; at++) {
    const byte = json[at] ?? 0;
    if (inString) {
      if (byte === 0x5c) at += 1;
      else if (byte === 0x22) inString = false;
      continue;
    }
    if (inNumber.has(byte)) {
      if (numberFrom < 0) numberFrom = at;
      continue;
    }
    if (numberFrom >= 0) assertExact(json, numberFrom, at);
    numberFrom = -1;
    if (byte === 0x22) {
      inString = true;
    } else if (byte === 0x7b || byte === 0x5b) {
      depth += 1;
      if (depth > maxDepth) throw new BatonError("MALFORMED");
    } else if (byte === 0x7d || byte === 0x5d) {
      depth -= 1;
    }
  }
  return utf8.decode(json);
}

/** Digits, signs, the point and the exponent. What else they may spell, such as the e of `true`, is short. */
const inNumber: ReadonlySet<number> = new Set(encoder.encode("0123456789+-.eE"));

/** 2^53 has 16 digits; a shorter spelling of a larger number, such as 1e300, is exact or refused by its field. */
const exactDigits = 15;

function assertExact(json: Uint8Array, from: number, to: number): void {
  if (to - from <= exactDigits) return;
  if (Math.abs(Number(utf8.decode(json.subarray(from, to)))) > Number.MAX_SAFE_INTEGER)
    throw new BatonError("MALFORMED");
}
