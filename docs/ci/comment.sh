#!/bin/sh
# Writes a plan on its pull request or merge request: as a new comment, or over the one that it wrote before.
#
#   comment.sh github FILE     needs gh; GH_TOKEN, GITHUB_REPOSITORY, PULL (the number)
#   comment.sh gitlab FILE     needs curl and jq; PLAN_TOKEN (a project's token that may use the API), and GitLab's own CI_… variables
set -eu
marker='<!-- the shaping plan -->'
body=$(mktemp)
trap 'rm -f "$body"' EXIT

# GitHub takes 65,536 characters. What is cut off is in the artifacts.
{
	echo "$marker"
	head -c 60000 "$2" | iconv -c -f UTF-8 -t UTF-8
	[ "$(wc -c <"$2")" -le 60000 ] || printf '\n\n…and more: see the artifacts of the job.\n'
} >"$body"

case $1 in
github)
	comments=repos/$GITHUB_REPOSITORY/issues
	id=$(gh api --paginate "$comments/$PULL/comments" --jq ".[] | select(.body | startswith(\"$marker\")) | .id" | head -n 1)
	if [ -n "$id" ]; then
		gh api --silent -X PATCH "$comments/comments/$id" -F "body=@$body"
	else
		gh api --silent -X POST "$comments/$PULL/comments" -F "body=@$body"
	fi
	;;
gitlab)
	notes=$CI_API_V4_URL/projects/$CI_PROJECT_ID/merge_requests/$CI_MERGE_REQUEST_IID/notes
	call() { curl --fail --silent --show-error --header "PRIVATE-TOKEN: $PLAN_TOKEN" "$@"; }
	id=$(call "$notes?per_page=100&order_by=created_at&sort=asc" | jq -r "[.[] | select(.body | startswith(\"$marker\")) | .id][0] // empty")
	if [ -n "$id" ]; then
		call --request PUT --data-urlencode "body@$body" "$notes/$id" >/dev/null
	else
		call --request POST --data-urlencode "body@$body" "$notes" >/dev/null
	fi
	;;
*)
	echo "usage: comment.sh github|gitlab FILE" >&2
	exit 2
	;;
esac
