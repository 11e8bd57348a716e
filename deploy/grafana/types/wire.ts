// What a type of Grafana's looks like as JSON: an enum is one of its values, a value may be left out.
// Those of panels are behind the package's door: it exports the dashboard's alone.
import type { Options as StatOptions } from "./node_modules/@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type {
  FieldConfig as TableCustom,
  Options as TableOptions,
} from "./node_modules/@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen";
import type {
  FieldConfig as LinesCustom,
  Options as LinesOptions,
} from "./node_modules/@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";
import type { Options as TextOptions } from "./node_modules/@grafana/schema/dist/esm/raw/composable/text/panelcfg/x/TextPanelCfg_types.gen";
import type { Dashboard, DataSourceRef, Panel, RowPanel, VariableModel } from "@grafana/schema";

export type Wire<T> = T extends string
  ? `${T}`
  : T extends number | boolean | null | undefined
    ? T
    : T extends (infer U)[]
      ? Wire<U>[]
      : T extends object
        ? { [K in keyof T]: Wire<T[K]> }
        : T;

type Config = NonNullable<Panel["fieldConfig"]>;

type Of<Type extends string, Options, Custom> = Omit<Wire<Panel>, "type" | "options" | "fieldConfig" | "targets"> & {
  type: Type;
  options: Partial<Wire<Options>>;
  fieldConfig: {
    defaults: Omit<Wire<Config["defaults"]>, "custom"> & { custom?: Partial<Wire<Custom>> };
    overrides: Wire<Config["overrides"]>;
  };
  targets: (PromQL | SQL)[];
};

interface PromQL {
  datasource: DataSourceRef & { type: "prometheus" };
  editorMode: "code";
  expr: string;
  instant: boolean;
  legendFormat?: string;
  range: boolean;
  refId: string;
}

// As the plugin's own types have it, which are in no package.
interface SQL {
  datasource: DataSourceRef & { type: "grafana-clickhouse-datasource" };
  editorType: "sql";
  format: 0 | 1;
  pluginVersion: string;
  queryType: "table" | "timeseries";
  rawSql: string;
  refId: string;
}

export type Numbers = Of<"stat", StatOptions, Record<string, never>>;
export type Lines = Of<"timeseries", LinesOptions, LinesCustom>;
export type Rows = Of<"table", TableOptions, TableCustom>;

export type Words = Omit<Of<"text", TextOptions, Record<string, never>>, "fieldConfig" | "targets">;

export type Board = Omit<Wire<Dashboard>, "panels" | "templating"> & {
  panels: (Numbers | Lines | Rows | Words | Wire<RowPanel>)[];
  templating: { list: Wire<VariableModel>[] };
};
