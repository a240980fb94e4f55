package percona
import ("testing";"fmt";"github.com/dittofs/function-dittoserver/internal/crdtest")
func TestDbg(t *testing.T){
	s := newStore(t, crdtest.PerconaFieldManager(t, ""), wantedOf(t, withBackups()).Spec)
	s.edit("kubectl-edit", func(spec map[string]any) {
					archive(spec)["global"] = map[string]any{"repo1-path": "/elsewhere", "log-level-console": "info"}
				})
	for _, e := range s.live.GetManagedFields() { fmt.Println(e.Manager, string(e.FieldsV1.Raw)) }
}
