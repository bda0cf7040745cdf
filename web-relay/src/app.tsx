import { useState } from 'preact/hooks';
import type { AgentsAnswer, AgentView, NameView } from '../../src/protocol/agents.js';
import { AgentCard } from './agents.js';
import { disconnect, release, signOut } from './api.js';
import { Confirm, type Question } from './confirm.js';
import { Names } from './names.js';
import { useAgents, wordsOf } from './state.js';

export function App() {
  const { state, refresh } = useAgents();
  const [question, setQuestion] = useState<Question>();
  const [said, setSaid] = useState('');

  /** Asks before it does, and says what came of it. */
  const confirm = (wanted: Omit<Question, 'onYes'>, act: () => Promise<unknown>, done: string): void =>
    setQuestion({
      ...wanted,
      onYes: async () => {
        setQuestion(undefined);
        try {
          await act();
          setSaid(done);
        } catch (error) {
          setSaid(`Not done: ${wordsOf(error)}.`);
        }
        await refresh();
      },
    });

  const onDisconnect = (agent: AgentView): void => {
    const name = agent.machine ?? 'this agent';
    confirm(
      {
        title: `Disconnect ${name}?`,
        text: 'Its services stop at this relay, and who visits them is cut off. It stays away until it is started again. Its names stay yours.',
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
        text: `The name and its ports are anybody's at once; you may not get them back.${use === 'away' ? ' The agent that had it a moment ago loses it.' : ''}`,
        yes: 'Release',
      },
      () => release(name),
      `Released ${name}.`,
    );

  if (state.name === 'loading') return <p class="quiet note">Loading…</p>;
  if (state.name === 'signed-out') return <SignedOut why={state.why} />;
  const { answer, trouble } = state;
  const leave = async (): Promise<void> => {
    await signOut().catch(() => undefined);
    await refresh();
  };
  return (
    <>
      <header>
        <h1>Agents at {new URL(answer.relay).host}</h1>
        <button type="button" onClick={() => void leave()}>
          Sign out
        </button>
        <p class="quiet identity">
          signed in as <code>{answer.identity}</code>
        </p>
      </header>
      <p role="status" class="said">
        {said}
      </p>
      {trouble !== undefined && (
        <p role="alert" class="error">
          Not up to date: {trouble}. Trying again.
        </p>
      )}
      <main>
        <Agents answer={answer} onDisconnect={onDisconnect} />
        <Names names={answer.names} agents={answer.agents} onRelease={onRelease} />
      </main>
      {question && <Confirm {...question} onNo={() => setQuestion(undefined)} />}
    </>
  );
}

interface AgentsProps {
  readonly answer: AgentsAnswer;
  readonly onDisconnect: (agent: AgentView) => void;
}

function Agents({ answer, onDisconnect }: AgentsProps) {
  const now = Date.parse(answer.now);
  return (
    <section aria-label="Agents">
      {answer.agents.length === 0 && <p class="quiet">No agent of yours was here lately.</p>}
      {answer.agents.map((agent) => (
        <AgentCard
          key={agent.id ?? `gone ${agent.machine}`}
          agent={agent}
          now={now}
          onDisconnect={() => onDisconnect(agent)}
        />
      ))}
      {answer.truncated && <p class="quiet">There are more than are shown here.</p>}
    </section>
  );
}

function SignedOut({ why }: { readonly why: string | undefined }) {
  return (
    <main class="signed-out">
      <h1>Agents of an identity</h1>
      {why !== undefined && (
        <p role="alert" class="error">
          {why}
        </p>
      )}
      <p>
        This page shows your agents at this relay, once you have signed in with the identity that they run
        with. There is no password: where the identity is, in the folder of your <code>portal.yaml</code>, run
      </p>
      <pre>portal agents page --relay {location.origin}</pre>
      <p>and open the link that it prints, in this browser. It is good once, for a minute.</p>
      <p class="quiet">
        <code>portal agents</code> shows the same in the terminal.
      </p>
    </main>
  );
}
