export const locationHints = ["wnam", "enam", "sam", "weur", "eeur", "apac", "oc", "afr", "me"] as const;

/** Where an object is made, as Cloudflare names it (2026-11). It is a wish; once made, an object never moves. */
export type LocationHint = (typeof locationHints)[number];

/** Of `request.cf`, what tells where a request came in; each may be missing. */
export interface RequestPlace {
  readonly continent?: string | undefined;
  readonly country?: string | undefined;
  /** Degrees, as text. */
  readonly longitude?: string | undefined;
}

const middleEast = new Set("AE AM AZ BH CY EG GE IL IQ IR JO KW LB OM PS QA SA SY TR YE".split(" "));
/** Between the data centres on the two coasts, and between Frankfurt and Warsaw. */
const americanDivide = -100;
const europeanDivide = 15;

/** The hint for a session whose first participant comes from there; undefined: leave it to the platform. */
export function locationHintOf({ continent, country, longitude }: RequestPlace): LocationHint | undefined {
  if (country !== undefined && middleEast.has(country)) return "me";
  const degrees = Number.parseFloat(longitude ?? "");
  switch (continent) {
    case "NA":
      return degrees < americanDivide ? "wnam" : "enam";
    case "SA":
      return "sam";
    case "EU":
      return degrees > europeanDivide ? "eeur" : "weur";
    case "AS":
      return "apac";
    case "OC":
      return "oc";
    case "AF":
      return "afr";
    default:
      return undefined;
  }
}
