import type { BusMessage, InstanceMessage, SessionBus } from "./session-bus.ts";

/** One process's bus: every member hears the others, none hears itself. */
export interface LocalBus {
  member(): SessionBus;
}

interface Subscription<M> {
  readonly member: symbol;
  readonly receive: (message: M) => void;
}

/**
 * Delivery is synchronous: `publish` returns after every subscriber was called. It costs no microtask and no queue that
 * would need a bound, and messages of one publisher arrive in their order. A room enters the same code from a socket's
 * callback anyway, so a subscriber has to stand being called at any time, except by its own publish, and that the bus
 * never does. One that throws does not keep the others from hearing; its error is handed to `onError`.
 */
export function createLocalBus(onError: (error: unknown) => void = () => {}): LocalBus {
  const sessions = createTopics<BusMessage>(onError);
  const instances = createTopics<InstanceMessage>(onError);
  return {
    member() {
      const member = Symbol("bus member");
      return {
        publish: (sessionId, message) => sessions.publish(sessionId, member, message),
        subscribe: (sessionId, receive) => sessions.subscribe(sessionId, { member, receive }),
        announce: (message) => instances.publish(everyInstance, member, message),
        listen: (receive) => instances.subscribe(everyInstance, { member, receive }),
      };
    },
  };
}

const everyInstance = "";

function createTopics<M>(onError: (error: unknown) => void) {
  const topics = new Map<string, Set<Subscription<M>>>();

  const deliver = (to: Subscription<M>, message: M) => {
    try {
      to.receive(message);
    } catch (error) {
      onError(error);
    }
  };

  return {
    publish(topic: string, member: symbol, message: M): void {
      const subscribed = topics.get(topic);
      if (subscribed === undefined) return;
      for (const to of [...subscribed]) {
        // Asked again for each: a subscriber may have ended another's subscription just now.
        if (to.member !== member && subscribed.has(to)) deliver(to, message);
      }
    },
    subscribe(topic: string, subscription: Subscription<M>): () => void {
      const subscribed = topics.get(topic) ?? new Set();
      topics.set(topic, subscribed.add(subscription));
      return () => {
        subscribed.delete(subscription);
        if (subscribed.size === 0 && topics.get(topic) === subscribed) topics.delete(topic);
      };
    },
  };
}
