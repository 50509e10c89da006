import type { DescService } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as OlderServerReflection } from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import type { ReadinessState } from "../readiness.ts";
import { registerHealth } from "./health.ts";
import { registerReflection } from "./reflection.ts";

/** What gRPC's probes and tools expect beside a server's own services. They tell of themselves too. */
export function registerStandardServices(
  router: ConnectRouter,
  { readiness, services }: { readonly readiness: ReadinessState; readonly services: readonly DescService[] },
): void {
  const all = [...services, Health, ServerReflection, OlderServerReflection];
  registerHealth(router, { readiness, services: all });
  registerReflection(router, all);
}
