/** The two-dimensional walk and its annotated trace. */
@NullMarked
package org.kvm4j.ept.walk;

import org.jspecify.annotations.NullMarked;
