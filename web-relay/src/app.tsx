import { useState } from 'preact/hooks';
import type { AgentsResponse, AgentView, NameView } from '../../src/protocol/agents.js';
import { AgentCard } from './agents.js';
import { disconnect, release, signOut } from './api.js';
import { Confirm, type Question } from './confirm.js';
import { Names } from './names.js';
import { useAgents, wordsOf } from './state.js';

export function App() {
  const { state, refresh } = useAgents();
  const [question, setQuestion] = useState<Question>();
  const [said, setSaid] = useState('');

  /** Asks for confirmation, acts, and reports the result. */
  const confirm = (wanted: Omit<Question, 'onYes'>, act: () => Promise<unknown>, done: string): void =>
    setQuestion({
      ...wanted,
      onYes: async () => {
        setQuestion(undefined);
        try {
          await act();
          setSaid(done);
        } catch (error) {
          setSaid(`Failed: ${wordsOf(error)}.`);
        }
        await refresh();
      },
    });

  const onDisconnect = (agent: AgentView): void => {
    const name = agent.machine ?? 'this agent';
    confirm(
      {
        title: `Disconnect ${name}?`,
        text: 'Its services on this relay stop, and the relay disconnects their visitors. The agent stays disconnected until it restarts. Its names stay yours.',
        yes: 'Disconnect',
      },
      () => disconnect(agent.id!),
      `Disconnected ${name}.`,
    );
  };

  const onRelease = ({ name, use }: NameView): void =>
    confirm(
      {
        title: `Release ${name}?`,
        text: `Other people can take the name and its ports immediately, and you may not get them back.${use === 'reconnecting' ? ' The agent that is reconnecting loses it.' : ''}`,
        yes: 'Release',
      },
      () => release(name),
      `Released ${name}.`,
    );

  if (state.name === 'loading') return <p class="quiet note">Loading…</p>;
  if (state.name === 'signed-out') return <SignedOut why={state.why} />;
  const { view, error } = state;
  const leave = async (): Promise<void> => {
    await signOut().catch(() => undefined);
    await refresh();
  };
  return (
    <>
      <header>
        <h1>Agents at {new URL(view.relay).host}</h1>
        <button type="button" onClick={() => void leave()}>
          Sign out
        </button>
        <p class="quiet identity">
          signed in as <code>{view.identity}</code>
        </p>
      </header>
      <p role="status" class="said">
        {said}
      </p>
      {error !== undefined && (
        <p role="alert" class="error">
          Out of date: {error}. Retrying.
        </p>
      )}
      <main>
        <Agents view={view} onDisconnect={onDisconnect} />
        <Names names={view.names} agents={view.agents} onRelease={onRelease} />
      </main>
      {question && <Confirm {...question} onNo={() => setQuestion(undefined)} />}
    </>
  );
}

interface AgentsProps {
  readonly view: AgentsResponse;
  readonly onDisconnect: (agent: AgentView) => void;
}

function Agents({ view, onDisconnect }: AgentsProps) {
  const now = Date.parse(view.now);
  return (
    <section aria-label="Agents">
      {view.agents.length === 0 && <p class="quiet">None of your agents connected recently.</p>}
      {view.agents.map((agent) => (
        <AgentCard
          key={agent.id ?? `disconnected ${agent.machine}`}
          agent={agent}
          now={now}
          onDisconnect={() => onDisconnect(agent)}
        />
      ))}
      {view.truncated && (
        <p class="quiet">
          This list is incomplete: there are too many agents, or a part of the relay does not respond.
        </p>
      )}
    </section>
  );
}

function SignedOut({ why }: { readonly why: string | undefined }) {
  return (
    <main class="signed-out">
      <h1>Your agents</h1>
      {why !== undefined && (
        <p role="alert" class="error">
          {why}
        </p>
      )}
      <p>
        This page shows your agents on this relay. Sign in with the identity that they use. There is no
        password: in the folder of your <code>portal.yaml</code>, on the machine that has the identity, run
      </p>
      <pre>portal agents page --relay {location.origin}</pre>
      <p>and open the link that it prints in this browser. The link works once, for one minute.</p>
      <p class="quiet">
        <code>portal agents</code> shows the same in the terminal.
      </p>
    </main>
  );
}
