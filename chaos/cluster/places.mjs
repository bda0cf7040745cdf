/**
 * A place as the database records it (relay/directory/record.ts): {publicPlace, kind: 'tls' | 'tcp' | 'udp', name, replica}.
 * `name` is the first label of the hostname; `replica` is undefined for a lease that has the place alone.
 */
export function parsePlace(place) {
  const [publicPlace, replica] = place.split(' #');
  const [hostname, kind = 'tls'] = publicPlace.split(' ').toReversed();
  return { publicPlace, kind, name: hostname.split('.')[0], replica };
}
