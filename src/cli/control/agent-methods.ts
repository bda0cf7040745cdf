import type { Desired } from '../../config/desired.js';
import type { Session } from '../../library/session.js';
import type { ControlHandlers } from './server.js';

/** What the control socket asks of an agent. `select` chooses the services of a configuration that it runs. */
export function agentMethods(
  session: Session,
  select: (desired: Desired) => Desired,
): Omit<ControlHandlers, 'stop' | 'history' | 'access'> {
  const { runner, address: own } = session;
  return {
    status: () => runner.status(),
    readiness: () => runner.readiness(),
    relays: () => runner.relays(),
    prove: async () => {
      await runner.prove();
      return runner.status();
    },
    plan: (wanted) => {
      const refusal = session.refusal(wanted);
      if (refusal) throw refusal;
      return runner.plan(select(wanted));
    },
    replay: (id) => runner.recorders!.replayAndWait(id),
    flush: async (address) => ({
      isRecording: address === own && (await runner.recorders?.flush()) === true,
    }),
    wipe: async (address) => {
      if (address !== own) return { isWiped: false };
      const kept = await runner.recorders?.wipe();
      return { isWiped: true, held: await runner.wipeHeld(), ...(kept !== undefined && { kept }) };
    },
    share: (request) => runner.sharing!.share(request),
    reloadShares: async (address) => {
      if (address !== own) return { isReloaded: false };
      await runner.sharing!.load();
      return { isReloaded: true };
    },
  };
}
