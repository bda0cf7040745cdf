import type { ComponentChildren } from 'preact';
import { useMemo } from 'preact/hooks';
import type { RequestRow } from '../../src/agent/inspect/wire.js';
import type { Filter } from './filter.js';

interface Props {
  readonly filter: Filter;
  readonly rows: readonly RequestRow[];
  readonly onChange: (filter: Filter) => void;
  readonly children: ComponentChildren;
}

const STATUSES = [
  ['', 'any status'],
  ['2', '2xx'],
  ['3', '3xx'],
  ['4', '4xx'],
  ['5', '5xx'],
  ['1', '1xx'],
  ['open', 'in progress'],
  ['broken', 'cut off'],
  ['gate', 'rejected by a gate'],
] as const;

export function Filters({ filter, rows, onChange, children }: Props) {
  const methods = useMemo(() => [...new Set(rows.map(({ method }) => method))].toSorted(), [rows]);
  const services = useMemo(() => [...new Set(rows.map(({ service }) => service))].toSorted(), [rows]);
  const gates = useMemo(
    () => [...new Set(rows.flatMap(({ portal }) => portal?.gate ?? []))].toSorted(),
    [rows],
  );
  const set = (change: Partial<Filter>): void => onChange({ ...filter, ...change });
  return (
    <div class="filters" role="search">
      <input
        type="search"
        aria-label="Search in paths, hosts, methods, statuses and addresses"
        placeholder="Search"
        value={filter.text}
        onInput={({ currentTarget }) => set({ text: currentTarget.value })}
      />
      <Choice
        label="Method"
        value={filter.method}
        choices={[['', 'any method'], ...methods.map((method) => [method, method] as const)]}
        onChange={(method) => set({ method })}
      />
      <Choice
        label="Status"
        value={filter.status}
        choices={[
          ...STATUSES,
          ...gates.map((gate) => [`gate:${gate}`, `rejected by gate: ${gate}`] as const),
        ]}
        onChange={(status) => set({ status })}
      />
      <Choice
        label="Service"
        value={filter.service}
        choices={[['', 'any service'], ...services.map((service) => [service, service] as const)]}
        onChange={(service) => set({ service })}
      />
      {children}
    </div>
  );
}

interface ChoiceProps {
  readonly label: string;
  readonly value: string;
  readonly choices: readonly (readonly [value: string, text: string])[];
  readonly onChange: (value: string) => void;
}

function Choice({ label, value, choices, onChange }: ChoiceProps) {
  return (
    <select aria-label={label} value={value} onChange={({ currentTarget }) => onChange(currentTarget.value)}>
      {choices.map(([each, text]) => (
        <option key={each} value={each}>
          {text}
        </option>
      ))}
    </select>
  );
}
