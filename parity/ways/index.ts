import { connect } from "./connect.ts";
import { connectJson } from "./connect-json.ts";
import { connectSplit } from "./connect-split.ts";
import { grpc } from "./grpc.ts";
import { grpcWeb } from "./grpc-web.ts";
import { grpcWebSplit } from "./grpc-web-split.ts";
import { grpcWebText } from "./grpc-web-text.ts";
import { socket } from "./socket.ts";
import { socketJson } from "./socket-json.ts";
import type { Way } from "./way.ts";

/** In the table's order. */
export const ways: readonly Way[] = [
  connect,
  connectJson,
  grpcWeb,
  grpc,
  socket,
  socketJson,
  connectSplit,
  grpcWebSplit,
  grpcWebText,
];
