# Median minutes until a bad canary is rolled back, over its ratio, judge by judge; a point stands where
# at least half of the canaries were rolled back within the hour.
#     gnuplot -e "csv='build/canary.csv'; out='build/canary.svg'" tests/bench/canary/plot.gp
set terminal svg size 1000,460 font "sans,11" noenhanced
set output out
set datafile separator ","
set logscale x
set xlabel "errors of the canary / of the baseline"
set ylabel "median minutes"
set xrange [1.2:10.5]
set yrange [0:60]
set xtics (1.25, 1.5, 2, 3, 5, 10)
set grid
set key below horizontal maxcols 3
set multiplot layout 1,2
rows(rps, share, rate, judge) = sprintf("< grep '^grid %s/s %s %% %s %% ' %s | grep ',%s,'", \
	rps, share, rate, csv, judge)
do for [traffic in "20:10:1 200:10:0.1"] {
	rps = traffic[1:strstrt(traffic, ":")-1]
	rest = traffic[strstrt(traffic, ":")+1:]
	share = rest[1:strstrt(rest, ":")-1]
	rate = rest[strstrt(rest, ":")+1:]
	set title sprintf("%s requests/s, canary %s %%, errors %s %%", rps, share, rate)
	plot for [judge in "picket picket_psi0_1 kayenta_50 kayenta_10 lindon_malek flagger"] \
		rows(rps, share, rate, judge) using ($6/$5):($11 >= 0.5 ? $13 : 1/0) \
		with linespoints linewidth 2 title judge
}
unset multiplot
