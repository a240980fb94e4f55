#!/usr/bin/env bash
# Prints the commands that hand a server of the DittoFS operator over to
# Crossplane, for a person to read and run: docs/migration.md tells when. It
# reads the cluster and changes nothing.
#
# usage: docs/migration.sh NAMESPACE NAME
set -euo pipefail

if (($# != 2)); then
	echo "usage: $0 NAMESPACE NAME" >&2
	exit 2
fi
namespace=$1 name=$2
for word in "$namespace" "$name"; do
	if [[ ! $word =~ ^[a-z0-9]([-a-z0-9]*[a-z0-9])?$ ]]; then
		echo "$word is no name of a namespace or of a server" >&2
		exit 2
	fi
done

run="kubectl -n $namespace"
theirs=dittofs.dittofs.com
ours=dittofs.io

# served RESOURCE.GROUP tells whether the cluster serves a kind.
served() {
	local resources
	resources=$(kubectl api-resources "--api-group=${1#*.}" -o name)
	grep -qFx -- "$1" <<<"$resources"
}

# owner RESOURCE NAME prints the object's name and who controls it; nothing if
# there is no such object.
owner() {
	kubectl -n "$namespace" get "$1" "$2" --ignore-not-found \
		-o 'jsonpath={.metadata.name}{" "}{range .metadata.ownerReferences[?(@.controller==true)]}{.apiVersion}{" "}{.kind}{" "}{.name}{end}'
}

# is GROUP OWNER tells whether a DittoServer of the name and group controls.
is() {
	[[ $2 =~ ^[^\ ]+\ $1/[^\ /]+\ DittoServer\ $name$ ]]
}

# hand_over KEY RESOURCE NAME prints the line that names an object's new owner.
hand_over() {
	local found
	found=$(owner "$2" "$3")
	[[ -n $found ]] || return 0
	if is "$ours" "$found"; then
		return 0
	fi
	if [[ $found == *" "?* ]] && ! is "$theirs" "$found"; then
		echo "left out: $2 $3 is controlled by ${found#* }" >&2

		return 0
	fi
	if [[ $found != *" "?* ]]; then
		echo "# Nobody controls the next one. Make sure that it is this server's."
	fi
	echo "$run annotate --overwrite $2 $3 dittofs.io/adopt=$name crossplane.io/composition-resource-name=$1"
}

# drop_ports SERVICE prints the line that removes the operator's ports.
drop_ports() {
	local ports port i=0 patch=
	ports=$(kubectl -n "$namespace" get service "$1" --ignore-not-found -o 'jsonpath={range .spec.ports[*]}{.name}{"\n"}{end}')
	while read -r port; do
		case $port in
		adapter-* | portmap | portmap-udp | mdns | wsd | wsd-meta)
			# The last one first, so that the others keep their places.
			patch="{\"op\":\"test\",\"path\":\"/spec/ports/$i/name\",\"value\":\"$port\"},{\"op\":\"remove\",\"path\":\"/spec/ports/$i\"}${patch:+,$patch}"
			;;
		esac
		i=$((i + 1))
	done <<<"$ports"
	[[ -z $patch ]] || echo "$comment$run patch service $1 --type=json -p='[$patch]'"
}

echo "# DittoServer $name in namespace $namespace. The operator has to be stopped."
echo
echo "# 1. Name each object's new owner. This alone changes nothing."
hand_over jwt-secret secret "$name-jwt-secret"
hand_over admin-credentials secret "$name-admin-bootstrap-credentials"
hand_over config configmap "$name-config"
hand_over headless-service service "$name-headless"
hand_over api-service service "$name-api"
hand_over nfs-service service "$name-adapter-nfs"
hand_over smb-service service "$name-adapter-smb"
hand_over metrics-service service "$name-metrics"
hand_over network-policy networkpolicy.networking.k8s.io "$name-baseline"
hand_over statefulset statefulset.apps "$name"
if served servicemonitors.monitoring.coreos.com; then
	hand_over service-monitor servicemonitor.monitoring.coreos.com "$name-metrics"
fi
if served perconapgclusters.pgv2.percona.com; then
	hand_over postgres-cluster perconapgcluster.pgv2.percona.com "$name-postgres"
fi

workload=$(owner statefulset.apps "$name")
if [[ -n $workload ]] && ! is "$ours" "$workload"; then
	echo
	echo "# 2. Forget that the operator set the fields of the pod, so that those that"
	echo "# are no longer wanted go with the next restart."
	echo "$run patch statefulset.apps $name --type=json -p='[{\"op\":\"replace\",\"path\":\"/metadata/managedFields\",\"value\":[{}]}]'"
fi

server=
if served "dittoservers.$theirs"; then
	server=$(owner "dittoservers.$theirs" "$name")
fi
if [[ -n $server ]]; then
	echo
	echo "# 3. Remove the operator's DittoServer, and nothing else."
	echo "$run patch dittoservers.$theirs $name --type=json -p='[{\"op\":\"test\",\"path\":\"/metadata/finalizers\",\"value\":[\"$theirs/finalizer\"]},{\"op\":\"remove\",\"path\":\"/metadata/finalizers\"}]'"
	echo "$run delete dittoservers.$theirs $name --cascade=orphan"
fi

# Without the operator's policies and ports, clients are cut off until the new
# server has its own.
comment='# '
echo
if is "$ours" "$workload"; then
	comment=
	echo "# 4. Remove what is left of the operator, once no client uses its ports."
else
	echo "# 4. When the new DittoServer is Ready, run this script again: it prints these"
	echo "# lines for use, which remove what is left of the operator."
fi
policies=$(kubectl -n "$namespace" get networkpolicy -l "dittofs.io/adapter-networkpolicy=true,instance=$name" -o name)
for policy in $policies; do
	echo "$comment$run delete $policy"
done
credentials=$(owner secret "$name-operator-credentials")
if [[ -n $credentials ]]; then
	echo "$comment$run delete secret $name-operator-credentials"
fi
drop_ports "$name-adapter-nfs"
drop_ports "$name-adapter-smb"
