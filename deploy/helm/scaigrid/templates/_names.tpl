{{- define "scaigrid.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "scaigrid.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "scaigrid.labels" -}}
{{ include "scaigrid.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "scaigrid.kind" -}}
{{ ternary "StatefulSet" "Deployment" .Values.journal.persistent }}
{{- end }}

{{- define "scaigrid.config" -}}
{{- $server := dict "drain_seconds" .Values.drainSeconds "shutdown_seconds" .Values.shutdownSeconds -}}
{{- toYaml (mergeOverwrite (deepCopy .Values.config) (dict "server" $server)) -}}
{{- end }}
