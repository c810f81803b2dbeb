# Takes from golangci-lint's list of linters (builder_linter.go) those that .golangci.yml doesn't enable:
#
#	awk -f linters.awk .golangci.yml builder_linter.go
#
# A linter that is enabled and misspelt stays an error: golangci-lint knows none of that name.
BEGIN { keep["golinters"] } # typecheck, which reports what doesn't compile
NR == FNR { if (/^  enable:/) enabled = 1; else if (enabled && $1 == "-") keep[$2]; else enabled = 0; next }
/"github.com\/golangci\/golangci-lint\/v2\/pkg\/golinters\// { name = $0; gsub(/.*\/|"/, "", name); if (!(name in keep)) next }
/^\t\tlinter\.NewConfig\(/ { name = $0; sub(/.*NewConfig\(/, "", name); sub(/\..*/, "", name); drop = !(name in keep) }
/^$|^\t}/ { drop = 0 }
!drop
/placeholderReplacer :=/ { print "\t_ = placeholderReplacer" } # some linters take it
