import type { Field } from '../../src/agent/inspect/wire.js';

interface Props {
  readonly title: string;
  readonly fields: readonly Field[];
  /** The surrounding element has the heading. */
  readonly isBare?: boolean;
}

/** Names and values as plain text. */
export function Fields({ title, fields, isBare = false }: Props) {
  return (
    <>
      {!isBare && <h3>{title}</h3>}
      {fields.length === 0 ? (
        <p class="quiet">none</p>
      ) : (
        <table class="fields" aria-label={title}>
          <tbody>
            {fields.map(({ name, value, masked }, index) => (
              <tr key={index}>
                <th scope="row">{name}</th>
                <td class={masked ? 'masked' : ''}>{value}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}
