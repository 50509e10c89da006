// gRPC's health checking: https://github.com/grpc/grpc/blob/master/doc/health-checking.md
import type { DescService } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from "../../gen/grpc/health/v1/health_pb.ts";
import { assertNever, BatonError } from "../../session/reasons.ts";
import type { Readiness, ReadinessState } from "../readiness.ts";

/**
 * `grpc.health.v1.Health`, for load balancers and probes, which bring no token. What `/readyz` says holds for every
 * service alike, and for the empty name, which stands for the whole relay.
 */
export function registerHealth(
  router: ConnectRouter,
  { readiness, services }: { readonly readiness: ReadinessState; readonly services: readonly DescService[] },
): void {
  const names = ["", ...services.map(({ typeName }) => typeName)];
  const known = new Set(names);

  router.service(Health, {
    check({ service }) {
      if (!known.has(service)) throw new BatonError("SERVICE_NOT_FOUND");
      return { status: statusOf(readiness.current) };
    },

    list() {
      const status = statusOf(readiness.current);
      return { statuses: Object.fromEntries(names.map((name) => [name, { status }])) };
    },

    /** Ends with the drain: whoever watches is to look elsewhere, and a stop waits for the open calls. */
    async *watch({ service }, { signal }) {
      let told: ServingStatus | undefined;
      for (;;) {
        const { current } = readiness;
        const status = known.has(service) ? statusOf(current) : ServingStatus.SERVICE_UNKNOWN;
        if (status !== told) {
          told = status;
          yield { status };
        }
        if (current === "draining") throw new BatonError("DRAIN");
        // connect-es cannot end a generator that waits: it goes by the signal itself.
        await readiness.changed(signal);
        signal.throwIfAborted();
      }
    },
  });
}

function statusOf(readiness: Readiness): ServingStatus {
  switch (readiness) {
    case "ready":
      return ServingStatus.SERVING;
    case "starting":
    case "draining":
      return ServingStatus.NOT_SERVING;
    default:
      return assertNever(readiness);
  }
}
