import type { AgentView, NameView } from '../../src/protocol/agents.js';

interface Props {
  readonly names: readonly NameView[];
  readonly agents: readonly AgentView[];
  readonly onRelease: (name: NameView) => void;
}

/** Names reserved for the identity, in use or not. */
export function Names({ names, agents, onRelease }: Props) {
  const machineOf = ({ agent }: NameView): string =>
    agents.find(({ id }) => id !== undefined && id === agent)?.machine ?? 'an agent';
  return (
    <section aria-labelledby="names">
      <h2 id="names">Reserved names</h2>
      {names.length === 0 && <p class="quiet">None.</p>}
      {names.length > 0 && (
        <table>
          <thead>
            <tr>
              <th scope="col">Name</th>
              <th scope="col">Ports</th>
              <th scope="col">In use</th>
              <th scope="col">Reserved until</th>
              <th scope="col">
                <span class="unseen">Release</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {names.map((name) => (
              <tr key={name.name}>
                <th scope="row">{name.name}</th>
                <td data-label="Ports">{portsOf(name) || '–'}</td>
                <td data-label="In use">{useOf(name, machineOf(name))}</td>
                <td data-label="Reserved until">
                  <time dateTime={name.reservedUntil}>{name.reservedUntil.slice(0, 10)}</time>
                </td>
                <td class="act">
                  {name.use !== 'served' && (
                    <button
                      type="button"
                      class="danger"
                      aria-label={`Release ${name.name}`}
                      onClick={() => onRelease(name)}
                    >
                      Release
                    </button>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

const portsOf = ({ ports }: NameView): string =>
  Object.entries(ports)
    .map(([kind, port]) => `${kind} ${port}`)
    .join(', ');

function useOf({ use }: NameView, machine: string): string {
  if (use === 'free') return 'no';
  return use === 'served' ? `by ${machine}` : `${machine} is reconnecting`;
}
