/**
 * `baton/proto`: the contract `codereview.v1`, generated for protobuf-es: messages, schemas and services.
 *
 * @module
 */
export * from "../gen/codereview/v1/codereview_pb.ts";
