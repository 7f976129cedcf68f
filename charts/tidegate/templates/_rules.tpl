{{/*
The rules of one account and reach, from files/rules.yaml, which `tidegate rbac` writes from the code.
Takes a dict: root, account ("operator" or "release"), reach ("watched", "home" or "cluster").
*/}}
{{- define "tidegate.rules" -}}
{{- $text := .root.Files.Get "files/rules.yaml" | replace "$(leaseName)" (include "tidegate.leaseName" .root | quote) -}}
{{- $account := get ($text | fromYaml) .account -}}
{{- $rules := get $account .reach -}}
{{- if eq .reach "watched" -}}
{{- range include "tidegate.targetKinds" .root | fromJsonArray -}}
{{- $rules = append $rules (dict "apiGroups" (list .group) "resources" (list .resource) "verbs" $account.targets.verbs) -}}
{{- $scale := printf "%s/scale" .resource -}}
{{- $rules = append $rules (dict "apiGroups" (list .group) "resources" (list $scale) "verbs" $account.targets.scaleVerbs) -}}
{{- end -}}
{{- end -}}
{{- toYaml $rules }}
{{- end }}

{{/* Kinds that policies may target, as JSON: those of the code, and those that the administrator adds. */}}
{{- define "tidegate.targetKinds" -}}
{{- concat (.Files.Get "files/rules.yaml" | fromYaml).targetKinds .Values.targets.extraScaleResources | toJson }}
{{- end }}

{{/* Role and RoleBinding (or ClusterRole and ClusterRoleBinding, without a namespace).
Takes a dict: root, name, namespace, account (of the pod), rules (text). */}}
{{- define "tidegate.grant" -}}
{{- $cluster := empty .namespace }}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ if $cluster }}ClusterRole{{ else }}Role{{ end }}
metadata:
  name: {{ .name | quote }}
  {{- if not $cluster }}
  namespace: {{ .namespace | quote }}
  {{- end }}
  labels: {{- include "tidegate.labels" .root | nindent 4 }}
rules: {{- .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ if $cluster }}ClusterRoleBinding{{ else }}RoleBinding{{ end }}
metadata:
  name: {{ .name | quote }}
  {{- if not $cluster }}
  namespace: {{ .namespace | quote }}
  {{- end }}
  labels: {{- include "tidegate.labels" .root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ if $cluster }}ClusterRole{{ else }}Role{{ end }}
  name: {{ .name | quote }}
subjects:
  - kind: ServiceAccount
    name: {{ .account | quote }}
    namespace: {{ .root.Release.Namespace | quote }}
{{- end }}
