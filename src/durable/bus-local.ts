import type { BusMessage, SessionBus } from "./session-bus.ts";

/** One process's bus: every member hears the others, none hears itself. */
export interface LocalBus {
  member(): SessionBus;
}

interface Subscription {
  readonly member: symbol;
  readonly receive: (message: BusMessage) => void;
}

/**
 * Delivery is synchronous: `publish` returns after every subscriber was called. It costs no microtask and no queue that
 * would need a bound, and messages of one publisher arrive in their order. A room enters the same code from a socket's
 * callback anyway, so a subscriber has to stand being called at any time, except by its own publish, and that the bus
 * never does. One that throws does not keep the others from hearing; its error is handed to `onError`.
 */
export function createLocalBus(onError: (error: unknown) => void = () => {}): LocalBus {
  const sessions = new Map<string, Set<Subscription>>();

  const deliver = (to: Subscription, message: BusMessage) => {
    try {
      to.receive(message);
    } catch (error) {
      onError(error);
    }
  };

  return {
    member() {
      const member = Symbol("bus member");
      return {
        publish(sessionId, message) {
          const subscribed = sessions.get(sessionId);
          if (subscribed === undefined) return;
          for (const to of [...subscribed]) {
            // Asked again for each: a subscriber may have ended another's subscription just now.
            if (to.member !== member && subscribed.has(to)) deliver(to, message);
          }
        },
        subscribe(sessionId, receive) {
          const subscription = { member, receive };
          const subscribed = sessions.get(sessionId) ?? new Set();
          sessions.set(sessionId, subscribed.add(subscription));
          return () => {
            subscribed.delete(subscription);
            if (subscribed.size === 0 && sessions.get(sessionId) === subscribed) sessions.delete(sessionId);
          };
        },
      };
    },
  };
}
