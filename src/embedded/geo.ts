import type { GeoPoint } from "./documents.js";

const EARTH_RADIUS_METERS = 6_371_000;

/** The distance between two places in meters along a great circle, to the millimeter. */
export function distanceInMeters(a: GeoPoint, b: GeoPoint): number {
  const radians = Math.PI / 180;
  const haversine = (angle: number) => (1 - Math.cos(angle)) / 2;
  const lat1 = a.lat * radians;
  const lat2 = b.lat * radians;
  const total =
    haversine(lat2 - lat1) + Math.cos(lat1) * Math.cos(lat2) * haversine(b.lng * radians - a.lng * radians);
  return Math.round(2 * EARTH_RADIUS_METERS * Math.asin(Math.sqrt(total)) * 1000) / 1000;
}

/** Whether a place lies in a box, which may cross the antimeridian. */
export function insideBox(point: GeoPoint, topRight: GeoPoint, bottomLeft: GeoPoint): boolean {
  if (point.lat > topRight.lat || point.lat < bottomLeft.lat) return false;
  return bottomLeft.lng <= topRight.lng
    ? point.lng >= bottomLeft.lng && point.lng <= topRight.lng
    : point.lng >= bottomLeft.lng || point.lng <= topRight.lng;
}

/** Whether a place lies in a polygon, by counting crossings. */
export function insidePolygon(point: GeoPoint, polygon: readonly GeoPoint[]): boolean {
  let inside = false;
  let previous = polygon.at(-1);
  for (const corner of polygon) {
    if (previous !== undefined && corner.lat > point.lat !== previous.lat > point.lat) {
      const crossing =
        ((previous.lng - corner.lng) * (point.lat - corner.lat)) / (previous.lat - corner.lat) + corner.lng;
      if (point.lng < crossing) inside = !inside;
    }
    previous = corner;
  }
  return inside;
}
