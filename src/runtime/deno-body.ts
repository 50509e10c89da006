import type { OpenBody } from "../relay/wire/body.ts";
import { WebBody } from "./web-body.ts";

/** The response bodies of one server. */
export interface DenoBodies {
  readonly openBody: OpenBody;
  /** Cuts off those that are open. */
  cut(): void;
}

export function createDenoBodies(): DenoBodies {
  const open = new Set<WebBody>();
  return {
    openBody(source) {
      const body = new WebBody(source, () => void open.delete(body));
      open.add(body);
      return new ReadableStream(body);
    },
    cut() {
      for (const body of open) body.cut();
    },
  };
}
