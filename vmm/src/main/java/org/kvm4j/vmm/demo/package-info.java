/** The demonstration guests, and running them on one backend after another. */
@NullMarked
package org.kvm4j.vmm.demo;

import org.jspecify.annotations.NullMarked;
