import type { Field } from '../../src/agent/inspect/wire.js';

/** Names and values, as text and nothing else. */
export function Fields({ title, fields }: { title: string; fields: readonly Field[] }) {
  return (
    <>
      <h3>{title}</h3>
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
