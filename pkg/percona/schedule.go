package percona

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// defaultIncrSchedule is the API's default of the flat incrSchedule. It is
// nobody's choice, so it makes way for full backups at other hours.
const defaultIncrSchedule = "0 0-1,3-23 * * *"

// A schedule is when backups of one kind start in one repository.
type schedule struct {
	path   *field.Path
	expr   string
	at     *cron.SpecSchedule
	chosen bool // By somebody; else it comes with the repository's number.
}

// A timetable is when a repository's backups start. One of the two may be
// missing: incremental ones if every hour has full ones, or what is no schedule.
type timetable struct {
	full, incr *schedule
}

// timetables of repositories: the chosen schedules, else those that come with a
// repository's number. One backup of a cluster runs at a time, so each
// repository has a quarter of an hour to itself, and an hour in which full
// backups start, in whichever repository, has no incremental ones that nobody
// asked for: a full backup may take long.
func timetables(repos []wantedRepo) ([]timetable, field.ErrorList) {
	var errs field.ErrorList
	read := func(path *field.Path, expr string, chosen bool) *schedule {
		at, err := parseSchedule(path, expr, fiveFields)
		if err != nil {
			errs = append(errs, err)
			return nil
		}
		return &schedule{path: path, expr: expr, at: at, chosen: chosen}
	}

	tables := make([]timetable, len(repos))
	var busy uint64 // The hours with full backups, as cron's bits.
	for i, r := range repos {
		path := r.path.Child("fullSchedule")
		switch {
		case r.FullSchedule != "":
			tables[i].full = read(path, r.FullSchedule, true)
		case isRepo(r.Name):
			tables[i].full = read(path, fmt.Sprintf("%d 2 * * *", minuteOf(r.Name)), false)
		}
		if full := tables[i].full; full != nil {
			busy |= full.at.Hour
		}
	}

	hours := hoursWithout(busy)
	for i, r := range repos {
		path := r.path.Child("incrSchedule")
		switch {
		case r.IncrSchedule != "":
			tables[i].incr = read(path, r.IncrSchedule, true)
		case isRepo(r.Name) && hours != "":
			tables[i].incr = read(path, fmt.Sprintf("%d %s * * *", minuteOf(r.Name), hours), false)
		}
	}
	if len(errs) > 0 {
		// What comes by default depends on what cannot be read.
		return tables, errs
	}
	return tables, clashesIn(tables)
}

// clashesIn timetables, whose defaults do not clash among themselves.
func clashesIn(tables []timetable) field.ErrorList {
	var chosen, defaults []schedule
	for _, table := range tables {
		for _, s := range []*schedule{table.full, table.incr} {
			switch {
			case s == nil:
			case s.chosen:
				chosen = append(chosen, *s)
			default:
				defaults = append(defaults, *s)
			}
		}
	}
	return clashes(chosen, defaults)
}

// minuteOf an hour at which a repository's backups start by default.
func minuteOf(repo string) int {
	const quarter = 15
	return quarter * int(repo[len(repo)-1]-'1')
}

// clashes of schedules with each other, and with others, which have none among
// themselves.
func clashes(schedules, others []schedule) field.ErrorList {
	var errs field.ErrorList
	for i, s := range schedules {
		for _, other := range append(schedules[:i:i], others...) {
			when, ok := together(s.at, other.at)
			if !ok {
				continue
			}
			expr := other.expr
			if !other.chosen {
				expr += " by default"
			}
			errs = append(errs, field.Invalid(s.path, s.expr, fmt.Sprintf(
				"must not start together with %s (%s), for example on %s: one backup runs at a time, so choose another minute, or leave out that hour", other.path, expr, when)))
			break
		}
	}
	return errs
}

// A moment is one at which backups start, in any year that has it.
type moment struct {
	month        time.Month
	day          int
	weekday      time.Weekday
	hour, minute int
}

func (m moment) String() string {
	return fmt.Sprintf("%s %d %s at %02d:%02d UTC", m.weekday, m.day, m.month, m.hour, m.minute)
}

// together returns a moment at which two schedules both start a backup, or false
// if there is none in all the years to come. A schedule that is not together
// with itself never runs.
//
// It need not look at a calendar: in 400 years each day of the year, the 29th of
// February among them, falls on each day of the week.
func together(a, b *cron.SpecSchedule) (moment, bool) {
	minutes, hours := a.Minute&b.Minute, a.Hour&b.Hour
	if minutes == 0 || hours == 0 {
		return moment{}, false
	}

	const lastDay = 31
	for day := 1; day <= lastDay; day++ {
		months := a.Month & b.Month & monthsWith(day)
		if months == 0 {
			continue
		}
		for weekday := time.Sunday; weekday <= time.Saturday; weekday++ {
			if startsOn(a, day, weekday) && startsOn(b, day, weekday) {
				return moment{
					month: time.Month(bits.TrailingZeros64(months)), day: day, weekday: weekday,
					hour: bits.TrailingZeros64(hours), minute: bits.TrailingZeros64(minutes),
				}, true
			}
		}
	}
	return moment{}, false
}

// star is the bit that cron sets in a field with a star, next to those of all
// its values (robfig/cron v3 spec.go).
const star = 1 << 63

// startsOn tells whether a schedule has such a day. Where both kinds of day are
// restricted, either will do, as is cron's custom (robfig/cron v3 spec.go,
// dayMatches).
func startsOn(s *cron.SpecSchedule, day int, weekday time.Weekday) bool {
	inMonth, inWeek := s.Dom&(1<<day) != 0, s.Dow&(1<<weekday) != 0
	if s.Dom&star != 0 || s.Dow&star != 0 {
		return inMonth && inWeek
	}
	return inMonth || inWeek
}

// monthsWith returns the months, as cron's bits, that have a day of that number
// in some year.
func monthsWith(day int) uint64 {
	const (
		all      = 1<<(time.December+1) - 1<<time.January
		february = 1 << time.February
		thirty   = 1<<time.April | 1<<time.June | 1<<time.September | 1<<time.November
	)
	switch {
	case day > 30:
		return all &^ (february | thirty)
	case day > 29:
		return all &^ february
	default:
		return all
	}
}

// fiveFields reads what the DittoServer takes. The operator would also take
// cron's names, like @daily.
func fiveFields(expr string) (cron.Schedule, error) {
	return cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(expr)
}

// parseSchedule reads a schedule in UTC that runs at all. It takes no intervals,
// like @every 1h, at which the operator panics (percona v2.9.0
// percona/controller/pgcluster/cron.go), and no time zones, like TZ=UTC, at some
// of which cron does.
func parseSchedule(path *field.Path, expr string, parse func(string) (cron.Schedule, error)) (*cron.SpecSchedule, *field.Error) {
	const want = "must be a cron expression of five fields, like 0 2 * * *"

	if strings.Contains(expr, "=") {
		return nil, field.Invalid(path, expr, want+", in UTC: leave out the time zone")
	}
	s, err := parse(expr)
	if err != nil {
		return nil, field.Invalid(path, expr, want+": "+err.Error())
	}
	spec, ok := s.(*cron.SpecSchedule)
	if !ok {
		return nil, field.Invalid(path, expr, want)
	}
	if _, runs := together(spec, spec); !runs {
		return nil, field.Invalid(path, expr, "never runs: none of its months has such a day")
	}
	return spec, nil
}

// hoursWithout returns the hours of a day without those in a set of bits, as
// cron writes them: 0-1,3-23.
func hoursWithout(taken uint64) string {
	const day = 24

	var ranges []string
	for from := 0; from < day; from++ {
		if taken&(1<<from) != 0 {
			continue
		}
		to := from
		for to+1 < day && taken&(1<<(to+1)) == 0 {
			to++
		}
		if to == from {
			ranges = append(ranges, strconv.Itoa(from))
		} else {
			ranges = append(ranges, fmt.Sprintf("%d-%d", from, to))
		}
		from = to
	}
	return strings.Join(ranges, ",")
}
