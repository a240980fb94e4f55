package world

import "slices"

// CollectGarbage is one pass of Kubernetes' garbage collector: an object whose
// owners are all gone is deleted; one that still has an owner only loses its
// references to those that are gone (kubernetes v1.37
// pkg/controller/garbagecollector attemptToDeleteItem). It tells whether it
// did anything.
func CollectGarbage(s *Server) (bool, error) {
	alive := map[string]bool{}
	for _, o := range s.objects {
		alive[o.UID()] = true
	}

	did := false
	for _, k := range s.Keys() {
		o := s.objects[k]
		refs := list(o.Value("metadata", "ownerReferences"))
		solid := slices.DeleteFunc(slices.Clone(refs), func(r any) bool { return !alive[text(mapOf(r), "uid")] })
		if len(solid) == len(refs) {
			continue
		}
		if len(solid) == 0 && o.Deleting() {
			continue
		}

		did = true
		if len(solid) == 0 {
			if err := s.Delete(k, o.UID()); err != nil {
				return did, err
			}

			continue
		}
		if err := s.Edit(k, "kube-controller-manager", func(content map[string]any) {
			set(content, solid, "metadata", "ownerReferences")
		}); err != nil {
			return did, err
		}
	}

	return did, nil
}
