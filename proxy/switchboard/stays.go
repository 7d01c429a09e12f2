package switchboard

import "skiff/proxy/pool"

// Stays are the clients of each port of each Service that come back to a back end.
type Stays map[string]map[string][]pool.Stay

// Stays lists them for another process.
func (b *Board) Stays() Stays {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := Stays{}
	for name, s := range b.services {
		ports := map[string][]pool.Stay{}
		for port, p := range s.ports {
			if stays := p.pool.Stays(); len(stays) > 0 {
				ports[port] = stays
			}
		}
		if len(ports) > 0 {
			all[name] = ports
		}
	}
	return all
}

// Recall has clients come back to the back ends that they had with another process.
func (b *Board) Recall(all Stays) {
	for service, ports := range all {
		for port, stays := range ports {
			if p := b.Pool(service, port); p != nil {
				p.Recall(stays)
			}
		}
	}
}
