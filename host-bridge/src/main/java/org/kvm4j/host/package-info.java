/** The KVM interface on the machine's own /dev/kvm; the only user of JNA. */
@NullMarked
package org.kvm4j.host;

import org.jspecify.annotations.NullMarked;
