import { getLogger } from "@logtape/logtape";
import { DiagLogLevel, diag, trace } from "@opentelemetry/api";
import type { Sampler } from "@opentelemetry/sdk-trace";
import { describeError } from "../runtime/log-values.ts";
import { readVersion } from "../runtime/version.ts";
import { ConfigurationError } from "./configuration-error.ts";

const logger = getLogger(["baton", "tracing"]);

/** What sends spans. Not everybody wants it, so it is not installed with the relay. */
async function loadSdk() {
  const [sdk, { OTLPTraceExporter }, { defaultResource, resourceFromAttributes }] = await Promise.all([
    import("@opentelemetry/sdk-trace"),
    import("@opentelemetry/exporter-trace-otlp-http"),
    import("@opentelemetry/resources"),
  ]);
  return { ...sdk, OTLPTraceExporter, defaultResource, resourceFromAttributes };
}

type Sdk = Awaited<ReturnType<typeof loadSdk>>;

const packages = "@opentelemetry/sdk-trace@3 @opentelemetry/exporter-trace-otlp-http@0.301 @opentelemetry/resources@3";

const samplers = [
  "parentbased_always_on",
  "parentbased_always_off",
  "parentbased_traceidratio",
  "always_on",
  "always_off",
  "traceidratio",
] as const;

/** Where spans go, by the variables that OpenTelemetry gives names to. */
export interface Tracing {
  readonly url: URL;
  readonly sampler: (typeof samplers)[number];
  /** Of those that nobody has decided about yet, 0 to 1. */
  readonly ratio: number;
  readonly serviceName: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Undefined: nobody asked for spans. Throws a `ConfigurationError` with a line for what is wrong; what the exporter reads
 * itself (headers, timeouts, certificates) it is left to.
 */
export function readTracing(environment: Environment): Tracing | undefined {
  const variables = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"] as const;
  const variable = variables.find((name) => (environment[name] ?? "") !== "");
  if (variable === undefined || environment.OTEL_SDK_DISABLED?.toLowerCase() === "true") return undefined;
  const url = URL.parse(environment[variable] ?? "");
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new ConfigurationError(`${variable}: must be a URL that begins with http:// or https://`);
  }
  const protocol = environment.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL ?? environment.OTEL_EXPORTER_OTLP_PROTOCOL;
  if (protocol !== undefined && protocol !== "http/json") {
    throw new ConfigurationError("OTEL_EXPORTER_OTLP_PROTOCOL: must be http/json, the one that is sent; or unset it");
  }
  const given = environment.OTEL_TRACES_SAMPLER ?? "parentbased_always_on";
  const sampler = samplers.find((name) => name === given);
  if (sampler === undefined) throw new ConfigurationError(`OTEL_TRACES_SAMPLER: must be one of ${samplers.join(", ")}`);
  const ratio = Number(environment.OTEL_TRACES_SAMPLER_ARG ?? "1");
  if (!(ratio >= 0 && ratio <= 1))
    throw new ConfigurationError("OTEL_TRACES_SAMPLER_ARG: must be a number from 0 to 1");
  return { url, sampler, ratio, serviceName: environment.OTEL_SERVICE_NAME ?? "baton" };
}

/** Throws a `ConfigurationError` that says what to install. */
export async function requireSdk(load: () => Promise<Sdk> = loadSdk): Promise<Sdk> {
  try {
    return await load();
  } catch (cause) {
    const { code } = cause instanceof Error && "code" in cause ? cause : { code: undefined };
    if (code !== "ERR_MODULE_NOT_FOUND" && code !== "MODULE_NOT_FOUND") throw cause;
    throw new ConfigurationError(
      `OTEL_EXPORTER_OTLP_ENDPOINT: is set, and what sends spans is not installed; npm install ${packages}, or unset it`,
      { cause },
    );
  }
}

/** How long a stop waits for the last spans to be taken. */
const lastSpansMs = 1_000;

/** Registers what sends spans, before the relay is made. Resolves with what sends the last of them. */
export async function startTracing(tracing: Tracing): Promise<() => Promise<void>> {
  const sdk = await requireSdk();
  const { TracerProvider, BatchSpanProcessor, OTLPTraceExporter, defaultResource, resourceFromAttributes } = sdk;
  const own = resourceFromAttributes({ "service.name": tracing.serviceName, "service.version": readVersion() });
  const provider = new TracerProvider({
    resource: defaultResource().merge(own),
    sampler: createSampler(sdk, tracing),
    // It reads the endpoint itself, which path belongs to it included.
    spanProcessors: [new BatchSpanProcessor({ exporter: new OTLPTraceExporter() })],
  });
  tellOnce();
  trace.setGlobalTracerProvider(provider);
  logger.info("spans are sent", { host: tracing.url.host });
  return async () => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, lastSpansMs);
    });
    await Promise.race([provider.shutdown().catch(() => undefined), late]);
    clearTimeout(timer);
  };
}

/** A collector that is down is told of by the first failure, and not by each that follows. */
function tellOnce(): void {
  let isTold = false;
  const quiet = () => undefined;
  const error = (_: string, ...details: unknown[]) => {
    if (isTold) return;
    isTold = true;
    const cause = details.find((detail) => detail instanceof Error);
    logger.warn("spans cannot be sent", cause === undefined ? {} : { error: describeError(cause) });
  };
  diag.setLogger({ error, warn: quiet, info: quiet, debug: quiet, verbose: quiet }, DiagLogLevel.ERROR);
}

function createSampler(sdk: Sdk, { sampler, ratio }: Tracing): Sampler {
  const root = sampler.endsWith("always_on")
    ? new sdk.AlwaysOnSampler()
    : sampler.endsWith("always_off")
      ? new sdk.AlwaysOffSampler()
      : new sdk.TraceIdRatioBasedSampler(ratio);
  return sampler.startsWith("parentbased_") ? new sdk.ParentBasedSampler({ root }) : root;
}
