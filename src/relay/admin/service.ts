import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { getLogger } from "@logtape/logtape";
import { assertAdmin } from "../../auth/admin.ts";
import type { Principal } from "../../auth/principal.ts";
import { AdminService } from "../../gen/codereview/v1/codereview_pb.ts";
import { BatonError } from "../../session/reasons.ts";
import { authenticate } from "../authenticate.ts";
import { deleteSession, disconnectStreams, revokeTokens } from "./actions.ts";
import type { Administered } from "./administered.ts";
import { describeSession, listSessions } from "./sessions.ts";

const logger = getLogger(["baton", "admin"]);

/** `AdminService`: what an operator may see and do. */
export function registerAdmin(router: ConnectRouter, relay: Administered): void {
  const call =
    <I, O extends object>(
      name: string,
      answer: (relay: Administered, principal: Principal, request: I) => Promise<O>,
      target: (request: I) => object,
    ) =>
    async (request: I, { requestHeader }: HandlerContext): Promise<O> => {
      const principal = await authenticate(relay, requestHeader);
      const line = { call: name, by: principal.userId, ...target(request) };
      try {
        assertAdmin(principal);
        const response = await answer(relay, principal, request);
        logger.info("admin call", { ...line, ...("streams" in response ? { streams: response.streams } : {}) });
        return response;
      } catch (error) {
        logger.warn("admin call refused", { ...line, reason: error instanceof BatonError ? error.reason : "INTERNAL" });
        throw error;
      }
    };
  router.service(AdminService, {
    listSessions: call("ListSessions", listSessions, ({ prefix }) => ({ prefix })),
    describeSession: call("DescribeSession", describeSession, ({ sessionId }) => ({ session: sessionId })),
    disconnect: call("Disconnect", disconnectStreams, ({ sessionId, userId, clientId }) => ({
      session: sessionId,
      user: userId,
      client: clientId,
    })),
    revokeTokens: call("RevokeTokens", revokeTokens, ({ userId, tokenId }) => ({ user: userId, tokenId })),
    deleteSession: call("DeleteSession", deleteSession, ({ sessionId }) => ({ session: sessionId })),
  });
}
