/**
 * A place as the database records it (relay/directory/record.ts): {publicPlace, kind: 'tls' | 'tcp' | 'udp', name}.
 * `name` is the first label of the hostname. Replicas add their own part after ` #`.
 */
export function parsePlace(place) {
  const [publicPlace] = place.split(' #');
  const [hostname, kind = 'tls'] = publicPlace.split(' ').toReversed();
  return { publicPlace, kind, name: hostname.split('.')[0] };
}
