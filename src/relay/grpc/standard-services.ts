import type { DescService } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as OlderServerReflection } from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import type { RelayContext } from "../context.ts";
import type { ReadinessState } from "../readiness.ts";
import { registerHealth } from "./health.ts";
import { registerReflection } from "./reflection.ts";

export interface StandardServicesOptions {
  readonly readiness: ReadinessState;
  /** The server's own. */
  readonly services: readonly DescService[];
  readonly defer: RelayContext["defer"];
}

/** What gRPC's probes and tools expect beside a server's own services. They tell of themselves too. */
export function registerStandardServices(
  router: ConnectRouter,
  { readiness, services, defer }: StandardServicesOptions,
): void {
  const all = [...services, Health, ServerReflection, OlderServerReflection];
  registerHealth(router, { readiness, services: all });
  registerReflection(router, all, defer);
}
