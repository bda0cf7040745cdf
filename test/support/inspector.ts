import type { Recording } from '../../src/agent/inspect/recording.js';
import type { RequestStore } from '../../src/agent/inspect/store.js';

/** The recording with this id, once its request has ended. */
export function settled(store: RequestStore, id: number): Promise<Recording> {
  return new Promise((resolve) => {
    const look = (): void => {
      const recording = store.get(id);
      if (!recording || recording.outcome === 'open' || recording.outcome === 'switched') return;
      stop();
      resolve(recording);
    };
    const stop = store.listen({ changed: look });
    look();
  });
}
