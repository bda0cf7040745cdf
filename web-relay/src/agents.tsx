import type { AgentView, ServiceView } from '../../src/protocol/agents.js';
import { ago, bytes, printable } from './format.js';

interface Props {
  readonly agent: AgentView;
  /** By the relay's clock. */
  readonly now: number;
  readonly onDisconnect: () => void;
}

/** One agent: its machine, and its services here. */
export function AgentCard({ agent, now, onDisconnect }: Props) {
  const { machine, state, own, identity, since, lastSeen, version, from, id, services } = agent;
  const name = machine ?? 'unnamed machine';
  return (
    <article class={state} aria-label={name}>
      <div class="head">
        <h2>{name}</h2>
        <span class={`state ${state}`}>{state}</span>
        {own && id !== undefined && (
          <button type="button" class="danger" aria-label={`Disconnect ${name}`} onClick={onDisconnect}>
            Disconnect
          </button>
        )}
      </div>
      <p class="quiet facts">
        {!own && (
          <span>
            of <code>{identity}</code>, which lets you see it
          </span>
        )}
        {state === 'connected' && since !== undefined && <span>connected for {ago(since, now)}</span>}
        <span>last seen {ago(lastSeen, now)} ago</span>
        {from !== undefined && <span>from {from}</span>}
        {version !== undefined && <span>Portal {version}</span>}
        {id !== undefined && (
          <span>
            id <code>{id}</code>
          </span>
        )}
      </p>
      {services.length > 0 && <Services services={services} name={name} />}
    </article>
  );
}

function Services({ services, name }: { readonly services: readonly ServiceView[]; readonly name: string }) {
  return (
    <table>
      <caption class="unseen">Services of {name}</caption>
      <thead>
        <tr>
          <th scope="col">Service</th>
          <th scope="col">State</th>
          <th scope="col">Address</th>
          <th scope="col" class="number">
            Visitors
          </th>
          <th scope="col" class="number">
            In
          </th>
          <th scope="col" class="number">
            Out
          </th>
        </tr>
      </thead>
      <tbody>
        {services.map((service, index) => (
          <tr key={`${service.service} ${service.address} ${index}`}>
            <th scope="row">
              {service.service ?? service.name}
              {Object.entries(service.metadata ?? {}).map(([key, value]) => (
                <div class="quiet" key={key}>
                  {printable(`${key}: ${value}`)}
                </div>
              ))}
            </th>
            <td data-label="State">
              <span>
                <span class={`phase ${service.phase}`}>{service.phase}</span>
                {service.code !== undefined && <span class="quiet"> {service.code}</span>}
                {service.replica !== undefined && service.replica !== 'active' && (
                  <span class="quiet"> {service.replica}</span>
                )}
              </span>
            </td>
            <td data-label="Address" class={service.address === undefined ? 'none' : ''}>
              <Address address={service.address} />
            </td>
            <td data-label="Visitors" class="number">
              {service.visitors}
            </td>
            <td data-label="In" class="number">
              {bytes(service.bytesIn)}
            </td>
            <td data-label="Out" class="number">
              {bytes(service.bytesOut)}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Address({ address = '' }: { readonly address: string | undefined }) {
  if (!address.startsWith('https://')) return <code>{address}</code>;
  return (
    <a href={address} target="_blank" rel="noopener noreferrer">
      {address}
    </a>
  );
}
