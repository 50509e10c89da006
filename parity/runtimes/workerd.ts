import { fileURLToPath } from "node:url";
import { Workerd } from "../../test/workerd/harness.ts";
import type { Runtime } from "./runtime.ts";

const entry = fileURLToPath(new URL("../../src/runtime/worker.ts", import.meta.url));

/** The worker as it is deployed, in workerd itself, with objects on disk. */
export const workerd: Runtime = {
  name: "workerd",
  lacks: { gRPC: "a response of a Worker carries no trailers, in which native gRPC ends" },
  lacksRows: { drain: "nothing asks a Worker to stop: a deploy closes its streams without a word, as `kill` does" },
  async start(secret, environment) {
    const workerd = await Workerd.start({
      entry,
      objects: { SESSIONS: "SessionObject", REPLICAS: "ReplicaObject", DIRECTORY: "DirectoryObject" },
      variables: { ...environment, BATON_JWT_SECRET: secret },
    });
    return {
      url: workerd.url,
      grpcUrl: undefined,
      httpVersion: "1.1",
      stop: () => workerd.kill(),
      kill: () => workerd.kill(),
      start: () => workerd.start(),
      close: () => workerd.dispose(),
    };
  },
};
