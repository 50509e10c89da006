import { testIds } from "./ids-suite.ts";
import { here } from "./target.ts";

testIds(here);
